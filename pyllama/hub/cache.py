"""The hub's cache on disk, in the layout that llama.cpp and huggingface_hub share.

    models--USER--MODEL/
        refs/main                       the commit that the hub showed last
        snapshots/COMMIT/a/file.gguf    a link to a blob
        blobs/ETAG                      the bytes of a file
        blobs/ETAG.incomplete           as many of them as have arrived
    .locks/models--USER--MODEL/ETAG.lock

Nothing here needs a network or huggingface_hub. Names that come from a hub are checked by `safe`
before they become paths.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pyllama.errors import HubError
from pyllama.hub.choice import is_model, parts, quantization

_PLACES = (
    ("LLAMA_CACHE", ""),
    ("HF_HUB_CACHE", ""),
    ("HUGGINGFACE_HUB_CACHE", ""),
    ("HF_HOME", "hub"),
    ("XDG_CACHE_HOME", "huggingface/hub"),
)
_COMPONENT = re.compile(r"[^\x00-\x1f/\\:*?\"<>|]+")


def cache_root() -> Path:
    """The folder of all repositories, as the environment says, else in the user's cache folder."""
    for variable, below in _PLACES:
        if value := os.environ.get(variable):
            return Path(os.path.expandvars(value)).expanduser() / below
    return Path("~/.cache/huggingface/hub").expanduser()


def safe(name: str) -> bool:
    """Whether a path with slashes stays in the folder that it is put into, on every system."""
    return all(_COMPONENT.fullmatch(part) and part.strip(". ") for part in name.split("/"))


@dataclass(frozen=True, slots=True)
class RepositoryCache:
    """What the cache holds of one repository."""

    root: Path
    repo: str

    @property
    def _name(self) -> str:
        return "models--" + self.repo.replace("/", "--")

    def file(self, commit: str, name: str) -> Path:
        """Where a file of a commit is, or would be."""
        return self.root / self._name / "snapshots" / commit / name

    def blob(self, etag: str) -> Path:
        """Where a file's bytes are, or would be."""
        return self.root / self._name / "blobs" / etag

    def lock(self, etag: str) -> Path:
        """The file that whoever writes the blob holds locked."""
        return self.root / ".locks" / self._name / f"{etag}.lock"

    def commits(self) -> list[str]:
        """The commits of which there are files: main's first, then the latest used first."""
        try:
            main = self._main.read_text("utf-8", "replace").strip()
        except OSError:
            main = ""
        return sorted(_children(self._snapshots), key=lambda name: name != main)

    def files(self, commit: str) -> list[str]:
        """The files of a commit that are there, whole; by name, with slashes."""
        folder = self._snapshots / commit
        return sorted(
            path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
        )

    def link(self, commit: str, name: str, etag: str) -> None:
        """Let the file of a commit be the blob; where links are not to be had, the blob moves."""
        file, blob = self.file(commit, name), self.blob(etag)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        try:
            file.symlink_to(os.path.relpath(blob, file.parent))
        except OSError:
            blob.replace(file)

    def set_main(self, commit: str) -> None:
        """Remember what the hub shows as main."""
        self._main.parent.mkdir(parents=True, exist_ok=True)
        new = self._main.with_name(f"main.{os.getpid()}.tmp")
        new.write_text(commit)
        new.replace(self._main)

    @property
    def _main(self) -> Path:
        return self.root / self._name / "refs" / "main"

    @property
    def _snapshots(self) -> Path:
        return self.root / self._name / "snapshots"


@dataclass(frozen=True, slots=True)
class CachedModel:
    """A model that is in the cache with all its parts."""

    repo: str
    quant: str | None
    """In upper case; None where the file's name does not tell."""
    path: Path
    """Of a split model, the first part."""
    size: int
    """Bytes, of all parts together."""

    @property
    def reference(self) -> str:
        """``USER/MODEL:QUANT``, or ``USER/MODEL``."""
        return f"{self.repo}:{self.quant}" if self.quant else self.repo


def cached_models() -> list[CachedModel]:
    """All models in the cache, by repository and name; of each only the latest version."""
    root = cache_root()
    return [model for repo in _repositories(root) for model in _models(RepositoryCache(root, repo))]


def _repositories(root: Path) -> list[str]:
    names = (name.removeprefix("models--").split("--") for name in _children(root, "models--*"))
    return sorted("/".join(name) for name in names if len(name) == 2)


def _models(cache: RepositoryCache) -> Iterator[CachedModel]:
    latest: dict[str, str] = {}
    for commit in reversed(cache.commits()):
        latest |= dict.fromkeys(cache.files(commit), commit)
    for name in sorted(latest):
        if not (name.lower().endswith(".gguf") and is_model(name)):
            continue
        try:
            wanted = parts(name, cache.files(latest[name]), cache.repo)
        except HubError:
            continue  # a download that was not finished
        paths = [cache.file(latest[name], part) for part in wanted]
        size = sum(path.stat().st_size for path in paths)
        yield CachedModel(cache.repo, quantization(name), paths[0], size)


def _children(folder: Path, pattern: str = "*") -> list[str]:
    """Names of the folders in a folder, the latest changed first; none where it is missing."""
    found = [path for path in folder.glob(pattern) if path.is_dir()]
    return [path.name for path in sorted(found, key=lambda path: -path.stat().st_mtime)]
