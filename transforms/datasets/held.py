"""Signs of life on files and folders: a lock that the system takes back when its process ends, however it ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from contextlib import suppress


def hold(descriptor: int) -> None:
    """Holds an open file or folder until the descriptor is closed. Nothing where the file system knows no locks: then
    nobody takes it for left behind. Who removes what is left has the lock meanwhile, which is waited for."""
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def remove_left(path: str, remove: Callable[[str], object]) -> None:
    """Removes a local file or folder of this user that no process holds, if one is there. Meanwhile nobody begins to:
    who has just made it waits, and sees then that it is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        if _is_free(descriptor) and os.fstat(descriptor).st_uid == os.geteuid():
            remove(path)
    finally:
        os.close(descriptor)


def _is_free(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
