"""Models from a hub (``-hf USER/MODEL[:QUANT]``) or a URL (``-mu``), kept in a cache on disk.

    reference   USER/MODEL[:QUANT]
    choice      which file of a repository is the model
    checkpoint  which files are its checkpoint
    cache       the folders that all tools which speak to the hub share
    client      requests; the only module that imports huggingface_hub, and only when it asks
    transfer    from a stream of bytes to a whole, checked file; goes on where it broke off
    repository  resolve, snapshot, configuration: all of that together
    address     download: the same for a URL

Nothing here prints: a download reports its progress to a function, everything else is an error or
the log.
"""

from __future__ import annotations

from pyllama.hub.address import download
from pyllama.hub.cache import CachedModel, cached_models
from pyllama.hub.repository import configuration, resolve, snapshot
from pyllama.hub.transfer import Progress

__all__ = [
    "CachedModel",
    "Progress",
    "cached_models",
    "configuration",
    "download",
    "resolve",
    "snapshot",
]
