"""Local Beam workers: processes forked from one that has imported everything, which takes Python more than a second.

    driver ── starts ── nursery: imports, then forks a worker for each connection
      └── Beam ── `ask_worker.py`, for each worker: connects, hands on its environment, waits for the worker's end

A worker is Beam's own, but quiet, and gone when the driver is gone: it could otherwise write into a folder that a new
run has taken over. Forking is safe because the nursery runs Python in one thread only and has not used gRPC.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import logging
import os
import select
import shutil
import signal
import socket
import sys
import traceback
from pathlib import Path

# Before Beam is imported, which warns of what a local worker does not need. Of an exception the driver tells: it is
# raised there with its trace.
logging.disable(logging.ERROR)

from apache_beam.runners.worker import sdk_worker, sdk_worker_main  # noqa: E402

from transforms.datasets import parent  # noqa: E402

_BYTES = "latin-1"  # bytes as text, one character each: a name may be in any encoding


def _serve(listener: socket.socket) -> None:
    """Forks a worker for each connection, until the driver, which holds our standard input open, has ended.

    Workers that have not ended by then are killed.
    """
    gc.freeze()  # so that workers do not copy what they share by looking for garbage in it
    nursery = os.getpid()
    workers: set[int] = set()
    while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
        connection, _ = listener.accept()
        worker = os.fork()
        if not worker:
            listener.close()
            _work(connection, nursery)
        connection.close()
        workers = {known for known in workers if os.waitpid(known, os.WNOHANG) == (0, 0)} | {worker}
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)


def _work(connection: socket.socket, nursery: int) -> None:
    """Runs a worker in the environment that it was asked for, and ends the process."""
    parent.leave_with(nursery)
    try:
        asked = json.loads(connection.makefile("rb").readline())
        os.environb.update({name.encode(_BYTES): value.encode(_BYTES) for name, value in asked["environment"].items()})
        vars(sdk_worker)["print"] = _silent  # it prints the trace of each exception, as it came: names and all
        os.chdir(asked["folder"].encode(_BYTES))
        sdk_worker_main.main([])
        with contextlib.suppress(OSError):  # after Ctrl-C nobody waits any more
            connection.sendall(b"\n")
    except BaseException:
        traceback.print_exc()
    finally:  # not by sys.exit: the interpreter would take everything down that it shares with the nursery
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _silent(*texts: object, **how: object) -> None:
    """Of an exception the driver tells."""


def main() -> None:
    """Arguments: the listening socket's descriptor, and modules that workers need."""
    _, descriptor, *modules = sys.argv
    for module in modules:
        importlib.import_module(module)
    with socket.socket(fileno=int(descriptor)) as listener:
        _serve(listener)
        folder = Path(listener.getsockname()).parent
    shutil.rmtree(folder, ignore_errors=True)  # the driver may have been killed


if __name__ == "__main__":
    main()
