"""Ctrl-C that works wherever the main thread is.

Python runs its signal handlers between two instructions of the main thread. While that thread is
inside one long native call there is no next instruction, and Ctrl-C would wait for the call to
end. The signal itself arrives at once, though: the interpreter's C handler writes its number into
the "wakeup" descriptor. A watcher thread reads it there and asks the native call to stop; the main
thread returns from it and Python raises KeyboardInterrupt as usual.

Even then it may be lost: what is raised inside a finalizer or a callback of a weak reference (the
import system uses them) is reported and ignored. So the watcher raises it anew until it counts.
"""

from __future__ import annotations

import _thread
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyllama.errors import Interrupted

_PERIOD = 0.02
"""Seconds between two calls of ``abort``: one that comes just before the native call is lost."""

_PATIENCE = 5
"""Periods that the block has to end by itself before KeyboardInterrupt is raised anew."""


def _nothing() -> None:
    pass


@contextmanager
def interruptible(abort: Callable[[], None] = _nothing) -> Iterator[None]:
    """Let Ctrl-C end the block with KeyboardInterrupt, soon and in any case.

    ``abort`` stops the native calls of the block; once Ctrl-C is pressed it is called again and
    again, from another thread, until the block ends. What it makes them raise, Interrupted,
    becomes KeyboardInterrupt too.

    A block outside the main thread runs as it is: signals do not concern it. The wakeup descriptor
    that was in use before (an outer block's, or asyncio's) gets no signals during the block and is
    put back after it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = socket.socketpair()
    done = threading.Event()
    arguments = (reader, done, abort, threading.get_ident())
    watcher = threading.Thread(target=_watch, args=arguments, daemon=True)
    with reader, writer:
        writer.setblocking(False)
        watcher.start()
        previous = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            yield
        except Interrupted as error:
            raise KeyboardInterrupt from error
        finally:
            done.set()
            signal.set_wakeup_fd(previous)
            writer.shutdown(socket.SHUT_WR)  # ends the watcher's wait
            watcher.join()


@contextmanager
def interrupted_once() -> Iterator[None]:
    """In the block, Ctrl-C raises KeyboardInterrupt once, as in any Python program.

    For a block inside an ``interruptible`` one that catches it and goes on, again and again: blocks
    of it that shall end soon, too, are ``interruptible`` themselves.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.set_wakeup_fd(-1)
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous)


def _watch(
    reader: socket.socket, done: threading.Event, abort: Callable[[], None], main: int
) -> None:
    while signals := reader.recv(64):
        if signal.SIGINT in signals:
            _insist(done, abort, main)
            return


def _insist(done: threading.Event, abort: Callable[[], None], main: int) -> None:
    periods = 0
    while not done.is_set():
        abort()
        if not done.wait(_PERIOD):
            periods += 1
            if periods % _PATIENCE == 0:
                _raise_anew(main)


def _raise_anew(main: int) -> None:
    if sys.platform == "win32":
        _thread.interrupt_main()
    else:  # a signal also ends a system call that the main thread waits in
        signal.pthread_kill(main, signal.SIGINT)
