"""Requests to a hub; the only module that imports huggingface_hub, when it is about to ask.

The library brings what people have set up for it: token, proxies, certificates, time limits
(HF_HUB_ETAG_TIMEOUT, HF_HUB_DOWNLOAD_TIMEOUT). Its own download function is not used: it keeps
nothing of a download that broke off, and does not check what arrived. Every failure is a HubError
that names the repository, or the URL, and the remedy.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TypeGuard
from urllib.parse import urlsplit

from pyllama.errors import HubError, HubUnreachable, UsageError
from pyllama.hub.cache import safe
from pyllama.hub.transfer import CHUNK, Body, Source, writing

_TOKEN = "give a token that may read it (HF_TOKEN or -hft)"
_GATED = ("is gated", f"accept its terms on the hub, and {_TOKEN}")
_NOT_FOUND = ("no such repository, or a private one", f"check the name, or {_TOKEN}")
_OF_REPOSITORIES = {401: _NOT_FOUND, 403: ("access is refused", _TOKEN), 404: _NOT_FOUND}
_OF_FILES = _OF_REPOSITORIES | {404: ("is not there any more", "run this again")}
_OF_URLS = {404: ("no such file", "check the URL")}
"""What a status says, and the remedy."""
_BUSY = (408, 425, 429, 500, 502, 503, 504)
_LONGEST_NAME = 128
_SHA256 = re.compile(r"[0-9a-f]{64}")
_RANGE = re.compile(r"bytes (\d+)-\d+/(?:(\d+)|\*)")


@dataclass(frozen=True, slots=True)
class Listing:
    """What a repository holds."""

    commit: str
    files: tuple[str, ...]
    """Paths with slashes, all of them `safe`."""


def endpoint() -> str:
    """The hub's address: HF_ENDPOINT or the usual one, without a slash at the end."""
    url = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    check_url(url, "HF_ENDPOINT")
    return url


def check_url(url: str, origin: str) -> None:
    """UsageError, which names the origin, where this is no http or https URL."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or not url.isascii() or not url.isprintable() or " " in url:
        raise UsageError(f"{origin}: {url!r} is not of the form https://host/...")


def listing(repo: str, token: str | None) -> Listing:
    """The files of the newest commit. One request."""
    from huggingface_hub import HfApi, constants

    hub = endpoint()
    api = HfApi(hub, token=_token(token) or False, library_name="pyllama")
    try:
        with _asking(repo, hub, _OF_REPOSITORIES):
            info = api.model_info(repo, revision="main", timeout=constants.HF_HUB_ETAG_TIMEOUT)
            commit, names = info.sha, [file.rfilename for file in info.siblings or ()]
            files = tuple(name for name in names if safe(name))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _no_hub(repo, hub) from error  # JSON of another kind, or none
    if not _is_name(commit):
        raise _no_hub(repo, hub)
    return Listing(commit, files)


def source(repo: str, commit: str, name: str, token: str | None) -> Source:
    """A file of a commit. One request; each time that it is opened is another one."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    hub, label = endpoint(), f"{repo}/{name}"
    url = hf_hub_url(repo, name, revision=commit, endpoint=hub)
    headers = _headers(_token(token))
    asking = partial(_asking, label, hub, _OF_FILES)
    with asking():
        metadata = get_hf_file_metadata(url, token=False, headers=headers, endpoint=hub)
    etag, size = metadata.etag, metadata.size
    if size is None or not _is_name(etag):
        raise _no_hub(label, hub)
    sha256 = etag if _SHA256.fullmatch(etag) else None
    return Source(label, name, size, etag, sha256, partial(_body, url, label, headers, asking))


def url_source(url: str, name: str, label: str) -> Source:
    """The file of a URL, which is not told the token; its ETag may be empty. One request."""
    from huggingface_hub import constants, get_session, hf_raise_for_status

    headers = _headers(None)
    asking = partial(_asking, label, urlsplit(url).hostname or "", _OF_URLS)
    with asking():
        timeout = constants.HF_HUB_ETAG_TIMEOUT
        response = get_session().head(url, headers=headers, timeout=timeout)
        hf_raise_for_status(response)
    size = response.headers.get("Content-Length", "")
    if not size.isdecimal():
        problem = "the server does not say how long the file is"
        raise HubError(label, problem, "download it in another way")
    etag = response.headers.get("ETag", "")
    return Source(label, name, int(size), etag, None, partial(_body, url, label, headers, asking))


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold a file locked, against other processes; waits until it is free."""
    from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined] # not marked so

    with ExitStack() as stack:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(WeakFileLock(path))
        yield


@contextmanager
def _body(
    url: str,
    label: str,
    headers: Mapping[str, str],
    asking: Callable[[], AbstractContextManager[None]],
    start: int,
) -> Iterator[Body]:
    from huggingface_hub import constants, get_session, hf_raise_for_status

    asked = {**headers, "Range": f"bytes={start}-"} if start else dict(headers)
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    with asking(), get_session().stream("GET", url, headers=asked, timeout=timeout) as response:
        hf_raise_for_status(response)
        first, total = _extent(label, response.status_code, response.headers)
        yield Body(first, total, response.iter_bytes(CHUNK))


def _extent(label: str, status: int, headers: Mapping[str, str]) -> tuple[int, int | None]:
    """The first byte of a response, and how many the file has where the response says so."""
    if status == 206:
        match = _RANGE.fullmatch(headers.get("Content-Range", ""))
        if match is None:
            raise HubError(label, "the server sends a part, but not which", "try again later")
        return int(match[1]), int(match[2]) if match[2] else None
    length = headers.get("Content-Length", "")
    plain = headers.get("Content-Encoding", "identity") == "identity"
    return 0, int(length) if plain and length.isdecimal() else None


def _headers(token: str | None) -> dict[str, str]:
    """For requests that bring a file: its size is to be its own, not that of a compressed one."""
    headers = {"User-Agent": f"pyllama/{version('pyllama')}", "Accept-Encoding": "identity"}
    return headers | ({"Authorization": f"Bearer {token}"} if token else {})


def _token(given: str | None) -> str | None:
    """The token to use: the one given, else the one that is set up on this machine, if any."""
    from huggingface_hub import constants, get_token

    token = given or (None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token())
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise UsageError("the token (HF_TOKEN or -hft) has characters that no token has")
    return token


@contextmanager
def _asking(subject: str, host: str, meanings: Mapping[int, tuple[str, str]]) -> Iterator[None]:
    """Explain what goes wrong between here and the host, in terms of the subject."""
    from huggingface_hub import errors

    try:
        yield
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status in _BUSY:
            raise HubUnreachable(subject, f"{host} answers {status}", "try again later") from error
        gated = isinstance(error, errors.GatedRepoError)
        meaning = _GATED if gated else meanings.get(status, (f"{host} answers {status}", ""))
        raise HubError(subject, *meaning) from error
    except (_client_error(), errors.OfflineModeIsEnabled) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        problem = f"the connection to {host} failed ({reason})"
        raise HubUnreachable(subject, problem, "check the network") from error


def _client_error() -> type[Exception]:
    """What the HTTP client raises; it is httpx or, from huggingface_hub 2 on, httpx2."""
    from huggingface_hub.errors import HfHubHTTPError

    return HfHubHTTPError.__bases__[0]


def _no_hub(subject: str, host: str) -> HubError:
    remedy = "check HF_ENDPOINT, and that no proxy answers in its place"
    return HubError(subject, f"{host} does not answer as a hub does", remedy)


def _is_name(text: object) -> TypeGuard[str]:
    """Whether a commit or an ETag can be the name of a file."""
    return isinstance(text, str) and len(text) <= _LONGEST_NAME and safe(text) and "/" not in text
