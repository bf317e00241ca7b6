"""How a training talks to whoever started it: lines, how far it is, errors in one line, and Ctrl-C.

Knows the clock, signals and exit codes; knows nothing of models or data.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ragkit.errors import INTERRUPTED, RagkitError

EVERY_SECONDS = 8.0


class Stopped(KeyboardInterrupt):
    """Ctrl-C was heeded. The message says what is kept, and how to go on."""


def say(text: str) -> None:
    """A line of the log."""
    print(time.strftime("%H:%M:%S"), text, flush=True)


class Pace:
    """A Progress that tells how far it is whenever EVERY_SECONDS are over, and no more often."""

    def __init__(self) -> None:
        self._told = time.monotonic()

    def due(self) -> bool:
        """Whether it is time to tell; if so, not for a while again."""
        now = time.monotonic()
        if now - self._told < EVERY_SECONDS:
            return False
        self._told = now
        return True

    def __call__(self, what: str, done: int, total: int) -> None:
        if self.due():
            say(f"{what}: {done} of {total}")


@contextmanager
def asked_to_stop() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets, so that work can stop where it stands well; a second one interrupts."""
    asked = threading.Event()
    before = signal.getsignal(signal.SIGINT)

    def stop(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, before)
        asked.set()

    signal.signal(signal.SIGINT, stop)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def run(main: Callable[[], None]) -> None:
    """Run a command; what goes wrong on purpose, and Ctrl-C, become one line and an exit code."""
    try:
        main()
    except RagkitError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt as stopped:
        print(str(stopped) or "stopped; the same command goes on with what is kept", file=sys.stderr)
        sys.exit(INTERRUPTED)
