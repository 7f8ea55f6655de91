"""A model by its URL (``-mu``).

A file of the hub is taken by its repository, into the hub's cache. Any other one is kept in
pyllama's own cache, in a folder for what is beside it on the server: the parts of a split model
stay together. Next to a file stands which version it is, by the server's ETag and the size.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit

from pyllama.errors import HubError, HubUnreachable, UsageError
from pyllama.hub import client
from pyllama.hub.cache import safe
from pyllama.hub.choice import part_names
from pyllama.hub.repository import offline_by_environment, resolve
from pyllama.hub.transfer import Report, Source, Task, transfer, writing
from pyllama.kernels.cache import default_directory

log = logging.getLogger(__name__)


def download(
    url: str, *, token: str | None = None, offline: bool = False, progress: Report | None = None
) -> Path:
    """The path of the file of a URL; of a split model, all its parts beside each other.

    What is not there yet, in the server's present version, is downloaded, while ``progress`` is
    called. Without a network, or with ``offline`` (or HF_HUB_OFFLINE), the file must be there.
    ``token`` is for the hub alone: no other server gets to see it.

    Raises UsageError (not a URL of a file), HubError, HubUnreachable, FileError as `resolve` does.
    """
    client.check_url(url, "-mu")
    if of_hub := _repository_and_file(url):
        repo, file = of_hub
        return resolve(repo, file=file, token=token, offline=offline, progress=progress)
    address = urlsplit(url)
    base, _, last = address.path.rpartition("/")
    names = part_names(unquote(last))
    if not names or not all(safe(name) and "/" not in name for name in names):
        raise UsageError(f"-mu: {url!r} does not end in the name of a file")
    folder = _folder(address._replace(path=base))
    addresses = {name: address._replace(path=f"{base}/{quote(name)}") for name in names}
    complete = all((folder / name).exists() for name in names)
    if not (offline or offline_by_environment()):
        _update(folder, addresses, progress, complete=complete)
    elif not complete:
        remedy = "run this once without --offline and HF_HUB_OFFLINE"
        raise HubError(_label(address), f"offline, and not in {folder}", remedy)
    return folder / names[0]


def _repository_and_file(url: str) -> tuple[str, str] | None:
    """What a URL of the hub's main revision names, as a page or as a download."""
    pattern = r"/(?P<repo>[^/]+/[^/]+)/(?:resolve|blob)/main/(?P<file>[^?#]+)(?:[?#].*)?"
    match = re.fullmatch(re.escape(client.endpoint()) + pattern, url)
    return (match["repo"], unquote(match["file"])) if match else None


def _folder(base: SplitResult) -> Path:
    key = hashlib.sha256(urlunsplit(base).encode()).hexdigest()
    return default_directory().parent / "downloads" / key[:16]


def _label(address: SplitResult) -> str:
    """The URL without what may be secret in it: password and query."""
    host = address.netloc.rpartition("@")[2]
    return urlunsplit((address.scheme, host, address.path, "", ""))


def _update(
    folder: Path, addresses: Mapping[str, SplitResult], progress: Report | None, *, complete: bool
) -> None:
    """Bring the files to the server's version; without a network, a complete set is good enough."""
    try:
        sources = [_source(name, address) for name, address in addresses.items()]
    except HubUnreachable as error:
        if not complete:
            raise
        log.warning("%s; using what is in %s", error, folder)
        return
    tasks = [
        Task(source, folder / f"{source.etag}.new", client.lock(folder / f"{source.etag}.lock"))
        for source in sources
        if not (folder / source.name).exists() or _version(folder, source.name) != source.etag
    ]
    transfer(tasks, progress)
    for task in tasks:
        with writing(folder):
            task.target.replace(folder / task.source.name)
            _record(folder, task.source.name).write_text(task.source.etag)


def _source(name: str, address: SplitResult) -> Source:
    """The file on the server; its ETag is made one that is a file name, and this file's alone."""
    source = client.url_source(urlunsplit(address), name, _label(address))
    version = hashlib.sha256(f"{name}\n{source.etag}\n{source.size}".encode()).hexdigest()
    return replace(source, etag=version[:32])


def _version(folder: Path, name: str) -> str:
    try:
        return _record(folder, name).read_text("utf-8", "replace")
    except OSError:
        return ""


def _record(folder: Path, name: str) -> Path:
    return folder / f"{name}.version"
