"""Signals while the main thread is in a call of this library: no import is torn, and no exception of a handler is lost.

Python runs the handlers of signals in the main thread, between any two bytecodes, and Ctrl-C is an exception there. An
import does not survive one: a lock of importlib stays held, and threads that wait for the module wait for ever, or find
it half made; a library of compiled code whose import was broken off can't be imported again. And compiled code that
asks for signals (DuckDB) fails with an error of its own, whatever the handler raised.

So within :class:`HeldSignals` a handler waits until an import that has begun there is over, at most :data:`LONGEST_S`
seconds, and what it raises leaves the block where another exception would. At its end the handlers are what they were,
those included that compiled code put in front of Python's own (Polars does, to be interrupted). Other threads never run
handlers, so it does nothing there.

Rejected: imports by a thread of their own (what a call imports, and what that imports, is known only once it did).
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the functions of signal make enums, at 20 times the cost
import _thread
import contextlib
import functools
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, ClassVar, Final

try:
    import ctypes
except ImportError:  # a Python without it
    ctypes = None  # type: ignore[assignment]

__all__ = ["LONGEST_S", "HeldSignals"]

LONGEST_S: Final = 10.0
"""How long a handler waits for an import, in seconds."""
_AGAIN_S: Final = 0.005
_SIGNALS: Final = tuple(
    int(getattr(signal, name))
    for name in ("SIGINT", "SIGTERM", "SIGALRM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGBREAK")
    if hasattr(signal, name)
)
"""Those whose handlers may raise; others are in nobody's way."""
_IMPORTLIB: Final = "<frozen importlib._bootstrap>"
_STRUCT_BYTES: Final = 512
"""More than the struct that sigaction fills has on any system."""

Handler = Callable[[int, FrameType | None], Any]


class HeldSignals:
    """Block in which no handler of a signal tears an import, and none loses its exception; an inner block does nothing.

    Raises:
        BaseException: What a handler raised in the block, if the block fails with another exception.
    """

    __slots__ = ("_handlers", "_imports", "_raised", "_since")

    _outermost: ClassVar[HeldSignals | None] = None
    """The block that the main thread is in; no other thread looks."""

    def __init__(self) -> None:
        self._handlers: dict[int, Handler] = {}
        self._imports = 0
        self._raised: BaseException | None = None
        self._since: float | None = None

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread() or HeldSignals._outermost is not None:
            return
        try:
            HeldSignals._outermost = self
            self._imports = _imports_of(sys._getframe())
            for number in _SIGNALS:
                handler = _signal.getsignal(number)
                earlier = getattr(handler, "__self__", None)
                if isinstance(earlier, HeldSignals):  # an interrupt kept that block from giving it back
                    handler = earlier._handlers[number]
                if callable(handler):
                    self._handlers[number] = handler
                    _replace(number, self._handle)
        except ValueError:  # an interpreter within another: it has no handlers
            self._end()
        except BaseException:
            self._end()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if HeldSignals._outermost is not self:
            return
        self._end()
        raised, self._raised = self._raised, None
        if raised is not None and value is not None and value is not raised:
            raise raised

    def _end(self) -> None:
        HeldSignals._outermost = None
        for number, handler in self._handlers.items():
            if _signal.getsignal(number) == self._handle:  # else the block set another
                _replace(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> object:
        if HeldSignals._outermost is not self:
            return self._handlers[number](number, frame)
        if _imports_of(frame) > self._imports:
            self._since = time.monotonic() if self._since is None else self._since
            if time.monotonic() - self._since < LONGEST_S:
                with contextlib.suppress(RuntimeError):  # no more threads: it comes now
                    _thread.start_new_thread(_send_again, (number,))
                    return None
        self._since = None
        try:
            return self._handlers[number](number, frame)
        except BaseException as exc:
            self._raised = exc
            raise


def _imports_of(frame: FrameType | None) -> int:
    """Return how many functions of importlib wait for a frame: more than at the block's beginning, if it imports."""
    count = 0
    while frame is not None:
        count += frame.f_code.co_filename == _IMPORTLIB
        frame = frame.f_back
    return count


def _send_again(number: int) -> None:
    time.sleep(_AGAIN_S)
    ident = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and ident is not None:
        signal.pthread_kill(ident, number)
    else:
        _thread.interrupt_main(signal.Signals(number))


def _replace(number: int, handler: Handler) -> None:
    """Set a handler of Python, and leave the process's own action for the signal as it is."""
    found = _sigaction()
    if found is None:
        _signal.signal(number, handler)
        return
    sigaction, action = found
    if sigaction(number, None, action) != 0:
        raise OSError(f"the action for signal {number} can't be read")
    _signal.signal(number, handler)
    sigaction(number, action, None)


@functools.cache
def _sigaction() -> tuple[Callable[..., int], object] | None:
    """Return the function of C and memory for its struct, which only the main thread uses."""
    try:
        return ctypes.CDLL(None).sigaction, ctypes.create_string_buffer(_STRUCT_BYTES)
    except (OSError, AttributeError, TypeError):  # not POSIX
        return None
