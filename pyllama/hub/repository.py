"""A model by the name of its repository, out of the cache or from the hub."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pyllama.errors import HubError, HubUnreachable, UsageError
from pyllama.hub import client
from pyllama.hub.cache import RepositoryCache, cache_root
from pyllama.hub.checkpoint import CONFIG, checkpoint_files
from pyllama.hub.choice import choose
from pyllama.hub.reference import Reference
from pyllama.hub.transfer import Report, Task, transfer, writing

log = logging.getLogger(__name__)

_TRUE = ("1", "ON", "YES", "TRUE")


def resolve(
    repo: str,
    *,
    file: str | None = None,
    token: str | None = None,
    offline: bool = False,
    progress: Report | None = None,
) -> Path:
    """The path of a model's file; of a split model, of the first part, with all others beside it.

    ``repo`` is ``USER/MODEL[:QUANT]``, ``file`` the exact path of a file in it; without either
    `pyllama.hub.choice` chooses. What the cache does not have, in the newest version, is
    downloaded, while ``progress`` is called; where the hub cannot be reached, or with ``offline``
    (or HF_HUB_OFFLINE) is not to be asked, the cache's latest version is taken. ``token`` defaults
    to HF_TOKEN or the one that ``hf auth login`` has saved.

    Raises UsageError (malformed ``repo``), HubError (no such repository, quantization or file;
    damaged), HubUnreachable (no network, and not in the cache), FileError (the cache cannot be
    written). A download that ends early, for whatever reason, is gone on with by the next call.
    """
    reference = Reference.parse(repo)
    cache = RepositoryCache(cache_root(), reference.repo)

    def chosen(names: Iterable[str]) -> tuple[str, ...]:
        return choose(names, repo=reference.repo, quant=reference.quant, file=file)

    commit, names = _obtain(cache, chosen, token, offline, progress)
    return cache.file(commit, names[0])


def snapshot(
    repo: str, *, token: str | None = None, offline: bool = False, progress: Report | None = None
) -> Path:
    """The folder of a repository's checkpoint: weights, configuration, tokenizer.

    ``repo`` is ``USER/MODEL``; see ``pyllama.hub.checkpoint`` for which files there will be.
    Everything else, and what is raised, is as in `resolve`.
    """
    reference = Reference.parse(repo)
    if reference.quant is not None:
        raise UsageError(f"{repo}: a checkpoint has no quantizations; give {reference.repo}")
    cache = RepositoryCache(cache_root(), reference.repo)

    def chosen(names: Iterable[str]) -> tuple[str, ...]:
        return checkpoint_files(names, reference.repo)

    commit, _ = _obtain(cache, chosen, token, offline, progress)
    return cache.file(commit, CONFIG).parent


def configuration(
    repo: str, *, token: str | None = None, offline: bool = False, progress: Report | None = None
) -> Path:
    """The folder with a checkpoint's ``config.json``, which alone is downloaded; else the same."""
    cache = RepositoryCache(cache_root(), Reference.parse(repo).repo)

    def chosen(names: Iterable[str]) -> tuple[str, ...]:
        if CONFIG not in names:
            raise HubError(cache.repo, f"has no {CONFIG}", "take the original model's repository")
        return (CONFIG,)

    commit, _ = _obtain(cache, chosen, token, offline, progress)
    return cache.file(commit, CONFIG).parent


Choice = Callable[[Iterable[str]], tuple[str, ...]]
"""Which of a repository's files are wanted; raises HubError where it does not have them."""


def _obtain(
    cache: RepositoryCache,
    chosen: Choice,
    token: str | None,
    offline: bool,
    progress: Report | None,
) -> tuple[str, tuple[str, ...]]:
    """The commit and the names of the files that are wanted; they are in the cache then."""
    if offline or offline_by_environment():
        try:
            return _cached(cache, chosen)
        except HubError as missing:
            problem = f"offline, and the cache {missing.problem}"
            remedies = (missing.remedy, "run this once without --offline and HF_HUB_OFFLINE")
            raise HubError(cache.repo, problem, "; ".join(filter(None, remedies))) from missing
    try:
        listing = client.listing(cache.repo, token)
    except HubUnreachable as error:
        return _cached_instead(cache, chosen, error)
    names = chosen(listing.files)
    _complete(cache, listing.commit, names, token, progress)
    return listing.commit, names


def offline_by_environment() -> bool:
    """Whether HF_HUB_OFFLINE, or the name that transformers has for it, asks for no network."""
    value = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return value.upper() in _TRUE


def _cached(cache: RepositoryCache, chosen: Choice) -> tuple[str, tuple[str, ...]]:
    """The best that the cache has; HubError says why there is none."""
    problem: HubError | None = None
    for commit in cache.commits():
        try:
            return commit, chosen(cache.files(commit))
        except HubError as error:
            problem = problem or error
    raise problem or HubError(cache.repo, f"({cache.root}) does not have it")


def _cached_instead(
    cache: RepositoryCache, chosen: Choice, error: HubUnreachable
) -> tuple[str, tuple[str, ...]]:
    """The same, when the hub was to be asked but does not answer."""
    try:
        commit, names = _cached(cache, chosen)
    except HubError as missing:
        problem = f"{error.problem}, and the cache {missing.problem}"
        raise HubUnreachable(cache.repo, problem, error.remedy) from error
    used = cache.file(commit, names[0]).name
    log.warning("%s: %s; using %s from the cache", cache.repo, error.problem, used)
    return commit, names


def _complete(
    cache: RepositoryCache,
    commit: str,
    names: Sequence[str],
    token: str | None,
    progress: Report | None,
) -> None:
    """Download what the cache does not have of these files."""
    missing = [name for name in names if not cache.file(commit, name).exists()]
    if not missing:
        return
    log.info("%s, commit %s: getting %s", cache.repo, commit, ", ".join(missing))
    sources = [client.source(cache.repo, commit, name, token) for name in missing]
    tasks = [
        Task(source, cache.blob(source.etag), client.lock(cache.lock(source.etag)))
        for source in sources
    ]
    transfer(tasks, progress)
    with writing(cache.root):
        for source in sources:
            cache.link(commit, source.name, source.etag)
        cache.set_main(commit)
