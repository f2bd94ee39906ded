"""A process that has loaded the program and, for each request, forks a child to run it.

`tests.program` runs it as ``python -m tests.fork_server`` with a socket as standard input. A
request is a message with the arguments, folder and environment of a run, and four descriptors: its
three standard streams, and one to which its pid and then its status are written. The server exits
when no client is left.
"""

from __future__ import annotations

import gc
import importlib
import os
import pkgutil
import signal
import socket
import sys

import msgspec

import app.cli
import app.http.asgi
from tests.program import MESSAGE_BYTES_MAX, Request


def load_program() -> None:
    """Load the modules that the commands load lazily."""
    for package in (app.cli, app.http.asgi):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    gc.collect()
    gc.freeze()  # Keep shared pages unwritten.


def next_run() -> list[str]:
    """Answer requests for ever; return only in each child, with the program's arguments."""
    control = socket.socket(fileno=sys.stdin.fileno())
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, MESSAGE_BYTES_MAX, 4)
        if not message:
            os._exit(0)
        if os.fork() == 0:
            *streams, report = descriptors
            if _is_the_program(streams, report):
                control.detach()
                return _become(msgspec.json.decode(message, type=Request), streams)
        for each in descriptors:
            os.close(each)


def _is_the_program(streams: list[int], report: int) -> bool:
    """Fork once more: the child runs the program, the parent waits for it and reports its exit."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # A signal that arrives before the program handles it is not lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        os.close(report)
        return True
    for each in streams:
        os.close(each)
    os.write(report, b"%d\n" % pid)
    _, status = os.waitpid(pid, 0)
    os.write(report, b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _become(run: Request, streams: list[int]) -> list[str]:
    for standard, each in enumerate(streams):
        os.dup2(each, standard)
        os.close(each)
    os.environ.clear()
    os.environ.update(run.environment)
    os.chdir(run.folder)
    sys.argv = ["holdfast", *run.arguments]
    return run.arguments


if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # Nothing reaps the waiting parents.
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests, which end this process.
    load_program()
    app.cli.main(next_run(), prog_name="holdfast")
