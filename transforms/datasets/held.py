"""Signs of life on files and folders: a lock that the system takes back when its process ends, however it ends."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress


def hold(descriptor: int) -> None:
    """Holds an open file or folder until the descriptor is closed. Nothing where the file system knows no locks: then
    nobody takes it for left behind. Who looks whether it is left has the lock for a moment, which is waited for."""
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def is_left(path: str) -> bool:
    """Whether a local file or folder of this user is there that no process holds."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fstat(descriptor).st_uid == os.geteuid()
    except OSError:
        return False
    finally:
        os.close(descriptor)
