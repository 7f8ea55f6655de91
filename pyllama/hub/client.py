"""Requests to a hub; the only module that imports huggingface_hub, when it is about to ask.

The library brings what people have set up for it: the token, proxies, certificates, time limits
(HF_HUB_DOWNLOAD_TIMEOUT, HF_HUB_ETAG_TIMEOUT). Its own download function is not used: it keeps
nothing of a download that broke off, and does not check what arrived.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pyllama.errors import HubError, HubUnreachable, UsageError
from pyllama.hub.cache import safe
from pyllama.hub.transfer import CHUNK, Body, Source, writing

if TYPE_CHECKING:
    from huggingface_hub.file_download import HfFileMetadata

MAIN = "main"
"""The revision that models are taken from."""

_TRUE = ("1", "ON", "YES", "TRUE")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_BUSY = (408, 425, 429, 500, 502, 503, 504)
_PRIVATE = (
    "no such repository, or a private one",
    "check the name, or give a token that may read it (HF_TOKEN or -hft)",
)
_REFUSALS = {
    401: _PRIVATE,
    403: ("access is refused", "give a token that may read it (HF_TOKEN or -hft)"),
    404: _PRIVATE,
}


@dataclass(frozen=True, slots=True)
class Listing:
    """What a repository holds."""

    commit: str
    files: tuple[str, ...]
    """Paths with slashes; all of them are `safe`."""


def offline_by_environment() -> bool:
    """Whether HF_HUB_OFFLINE, or transformers' name for it, asks for no network."""
    value = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return value.upper() in _TRUE


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
        raise UsageError(f"{origin}: {url!r} is no URL of the form https://host/...")


class Client:
    """Asks a hub; every failure is a HubError that names the repository and the remedy."""

    def __init__(self, token: str | None = None) -> None:
        self.endpoint = endpoint()
        self._token = token

    def listing(self, repo: str) -> Listing:
        """The files of the newest commit. One request."""
        from huggingface_hub import HfApi, constants

        api = HfApi(self.endpoint, token=self._token)
        with self._explained(repo, repo):
            timeout = constants.HF_HUB_ETAG_TIMEOUT
            info = api.model_info(repo, revision=MAIN, timeout=timeout)
        files = tuple(file.rfilename for file in info.siblings or () if safe(file.rfilename))
        if not info.sha or not safe(info.sha) or "/" in info.sha:
            raise self._no_hub(repo)
        return Listing(info.sha, files)

    def source(self, repo: str, commit: str, name: str) -> Source:
        """A file of a commit. One request, and one for each piece that is read of it."""
        from huggingface_hub import hf_hub_url

        label = f"{repo}/{name}"
        url = hf_hub_url(repo, name, revision=commit, endpoint=self.endpoint)
        with self._explained(label, repo):
            metadata = self._metadata(url, token=self._token)
        etag = metadata.etag or ""
        if metadata.size is None or not safe(etag) or "/" in etag:
            raise self._no_hub(label)
        return Source(
            label=label,
            name=name,
            size=metadata.size,
            etag=etag,
            sha256=etag if _SHA256.fullmatch(etag) else None,
            open=partial(self._body, url, label, repo),
        )
