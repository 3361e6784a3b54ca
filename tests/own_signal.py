"""A process under test that stops itself, exactly where it is."""

from __future__ import annotations

import signal
import threading


def send(signal_number: signal.Signals) -> None:
    """Send this process a signal that stops it (SIGSTOP, SIGKILL) before the calling thread does anything more.

    `os.kill` lets the kernel choose the thread that takes the signal, mostly the main one: on a loaded machine the
    calling thread then went on for up to 4 ms, enough to commit what the test meant to be in hand.
    """
    signal.pthread_kill(threading.get_ident(), signal_number)
