"""Work on several threads whose results come in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Result = TypeVar("Result")


@contextmanager
def thread_pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Threads for the block; work that has not begun when it ends is dropped."""
    pool = ThreadPoolExecutor(threads)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def in_order(pool: Executor, work: Iterable[Callable[[], Result]], ahead: int) -> Iterator[Result]:
    """Results of the work in order, with at most ``ahead`` pieces begun."""
    running: deque[Future[Result]] = deque()
    for piece in work:
        running.append(pool.submit(piece))
        if len(running) >= ahead:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()
