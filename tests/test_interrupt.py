"""Ctrl-C while the main thread is in native code that knows nothing of Python."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from pyllama.errors import Interrupted
from pyllama.interrupt import interrupted_once, interruptible


@contextmanager
def ctrl_c(after: float) -> Iterator[None]:
    """Press Ctrl-C so many seconds from now."""
    timer = threading.Timer(after, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        yield
    finally:
        timer.join()


class NativeWait:
    """A native call without the GIL that no signal ends: the second lock of a pthread mutex."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None)
        self._mutex = ctypes.create_string_buffer(256)  # zeros: PTHREAD_MUTEX_INITIALIZER
        self._libc.pthread_mutex_lock(self._mutex)
        self.aborts = 0

    def wait(self) -> None:
        self._libc.pthread_mutex_lock(self._mutex)

    def abort(self) -> None:
        if not self.aborts:
            self._libc.pthread_mutex_unlock(self._mutex)
        self.aborts += 1


@pytest.mark.skipif(sys.platform != "linux", reason="uses glibc's mutex")
def test_ctrl_c_aborts_a_native_call() -> None:
    native = NativeWait()
    start = time.monotonic()
    with ctrl_c(after=0.05), pytest.raises(KeyboardInterrupt), interruptible(native.abort):
        native.wait()
    assert native.aborts
    assert time.monotonic() - start < 0.2


def test_the_abort_is_repeated_until_the_block_ends() -> None:
    aborted: list[float] = []

    def slow_to_stop() -> None:
        with interruptible(lambda: aborted.append(time.monotonic())):
            try:
                time.sleep(5)
            finally:
                time.sleep(0.08)

    with ctrl_c(after=0.02), pytest.raises(KeyboardInterrupt):
        slow_to_stop()
    assert len(aborted) >= 3
    count = len(aborted)
    time.sleep(0.05)
    assert len(aborted) == count


def test_an_interrupt_that_got_lost_is_raised_anew() -> None:
    def finalizer() -> None:
        """Like ``__del__``: what is raised here goes no further."""
        with suppress(KeyboardInterrupt):
            time.sleep(5)

    def work() -> None:
        with interruptible():
            finalizer()
            time.sleep(5)

    start = time.monotonic()
    with ctrl_c(after=0.02), pytest.raises(KeyboardInterrupt):
        work()
    assert time.monotonic() - start < 1


def test_blocks_may_be_nested() -> None:
    aborted: list[str] = []

    def work() -> None:
        with interruptible(lambda: aborted.append("outer")):
            with interruptible(lambda: aborted.append("inner")):
                pass
            try:
                time.sleep(5)
            finally:
                time.sleep(0.05)

    with ctrl_c(after=0.02), pytest.raises(KeyboardInterrupt):
        work()
    assert set(aborted) == {"outer"}


def test_interrupted_becomes_keyboard_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt), interruptible(lambda: None):
        raise Interrupted("stopped")


def run_and_leave(abort: Callable[[], None]) -> str:
    with interruptible(abort):
        return "result"


def test_nothing_happens_without_ctrl_c() -> None:
    threads = threading.active_count()
    before = signal.set_wakeup_fd(-1)
    try:
        assert run_and_leave(lambda: pytest.fail("nobody pressed Ctrl-C")) == "result"
        assert signal.set_wakeup_fd(-1) == -1
    finally:
        signal.set_wakeup_fd(before)
    assert threading.active_count() == threads


def test_the_earlier_wakeup_descriptor_comes_back() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer)
    try:
        run_and_leave(lambda: None)
        assert signal.set_wakeup_fd(-1) == writer
    finally:
        signal.set_wakeup_fd(before)
        os.close(reader)
        os.close(writer)


def test_other_signals_do_not_abort() -> None:
    previous = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with interruptible(lambda: pytest.fail("SIGTERM is not Ctrl-C")):
            signal.raise_signal(signal.SIGTERM)
            time.sleep(0.05)
    finally:
        signal.signal(signal.SIGTERM, previous)


def test_other_threads_run_their_block_as_it_is() -> None:
    results: list[str] = []
    thread = threading.Thread(target=lambda: results.append(run_and_leave(lambda: None)))
    thread.start()
    thread.join()
    assert results == ["result"]


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
def test_one_that_goes_on_is_interrupted_once() -> None:
    """Though it is inside of a block that Ctrl-C would end by all means."""
    with interruptible(), interrupted_once():
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
            time.sleep(0.2)
        with pytest.raises(KeyboardInterrupt), interruptible():
            signal.raise_signal(signal.SIGINT)
        time.sleep(0.2)
