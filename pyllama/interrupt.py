"""Ctrl-C while native code runs.

Python runs its signal handlers between two instructions of the main thread. While that thread is
inside one long native call there is no next instruction, and Ctrl-C would wait for the call to
end. The signal itself arrives at once, though: the interpreter's C handler writes its number into
the "wakeup" descriptor. A watcher thread reads it there and asks the native call to stop; the main
thread returns from it and Python raises KeyboardInterrupt as usual.
"""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyllama.errors import Interrupted

_REPEAT = 0.02
"""Seconds between two calls of ``abort``: one that comes just before the native call is lost."""


@contextmanager
def interruptible(abort: Callable[[], None]) -> Iterator[None]:
    """Call ``abort`` from another thread, until the block ends, once Ctrl-C is pressed.

    The block ends with KeyboardInterrupt, also where the aborted call raised Interrupted. A block
    outside the main thread runs as it is: signals do not concern it. The wakeup descriptor that
    was in use before (asyncio's) gets no signals during the block and is put back after it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = socket.socketpair()
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(reader, done, abort), daemon=True)
    with reader, writer:
        writer.setblocking(False)
        watcher.start()
        previous = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            yield
        except Interrupted as error:
            raise KeyboardInterrupt from error
        finally:
            signal.set_wakeup_fd(previous)
            done.set()
            writer.shutdown(socket.SHUT_WR)  # ends the watcher's wait
            watcher.join()


def _watch(reader: socket.socket, done: threading.Event, abort: Callable[[], None]) -> None:
    while signals := reader.recv(64):
        if signal.SIGINT in signals:
            while not done.is_set():
                abort()
                done.wait(_REPEAT)
            return
