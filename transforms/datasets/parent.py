"""Processes that end with the one that started them, however that one ended.

A process of ours hands each one that it starts a pipe, which ends when nobody is left to write to it, and names itself
and the pipe in the environment. The pid is looked at as well, and Linux sends SIGKILL by itself. What was typed in a
shell has no such pipe and outlives the shell.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

_MARK = "AGORA_PARENT"  # pid of the starter (0: pipe only), descriptor of the pipe, its device and inode
_TORCHRUN = "TORCHELASTIC_RUN_ID"  # it starts processes without our pipe
_CHECK_S = 0.2
_PR_SET_PDEATHSIG = 1


@contextmanager
def started(
    command: Sequence[str], environment: Mapping[str, str], descriptors: Sequence[int] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours in a session of its own, so that Ctrl-C is for us alone. It is killed with its process group
    when it still runs at the end of the block. descriptors: that it keeps open, under the same numbers."""
    reading, writing = os.pipe()
    pipe = os.fstat(reading)
    # Linux tells of the end of the thread that starts a process, so only the main one counts for the whole process.
    pid = os.getpid() if threading.current_thread() is threading.main_thread() else 0
    mark = f"{pid} {reading} {pipe.st_dev} {pipe.st_ino}"
    process = None
    try:
        process = subprocess.Popen(
            command, env={**environment, _MARK: mark}, pass_fds=[reading, *descriptors], start_new_session=True
        )
        yield process
    finally:
        os.close(reading)
        if process is not None and process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        os.close(writing)


def begin() -> None:
    """What an entry point does first, before it imports for seconds: it ends from now on with the process that started
    it, if that was one of ours or torchrun; and Ctrl-C ends it without a trace."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it was started to ignore it
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent, pipe = _told(os.environ.pop(_MARK, ""))
    if parent == os.getppid() or (pipe is None and _TORCHRUN in os.environ):
        leave_with(os.getppid(), pipe)
    elif pipe is not None:  # a thread started it, or something is between, or the starter is gone already
        _watch(None, pipe)


def leave_with(parent: int, pipe: int | None = None) -> None:
    """Ends this process, whatever it is doing, once its parent is another than `parent` or the pipe has ended. For the
    main thread."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before
            os._exit(1)
    _watch(parent, pipe)


def _watch(parent: int | None, pipe: int | None) -> None:
    threading.Thread(target=_leave, args=(parent, pipe), daemon=True, name="parent watch").start()


def _leave(parent: int | None, pipe: int | None) -> None:
    while parent is None or os.getppid() == parent:
        if pipe is None:
            time.sleep(_CHECK_S)
        elif select.select([pipe], [], [], _CHECK_S)[0]:
            break
    os._exit(1)


def _told(mark: str) -> tuple[int, int | None]:
    """(pid, descriptor) of a mark; (0, None) for none, and for one that another process inherited from ours."""
    try:
        pid, pipe, device, inode = map(int, mark.split())
        found = os.fstat(pipe)
    except (ValueError, OSError):
        return 0, None
    is_ours = stat.S_ISFIFO(found.st_mode) and (found.st_dev, found.st_ino) == (device, inode)
    return (pid, pipe) if is_ours else (0, None)
