"""Folders for what ends with this process, below the system's folder of temporary files.

Each is held as long as its process lives (`held`), so that the next one removes what a killed one left.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from contextlib import suppress
from functools import partial

from pipelines.local.stops import held_back
from transforms.datasets import held

_OF_PROCESS = "agora-run-"
_made: dict[str, int] = {}  # descriptors by folder


def make(prefix: str, place: str) -> str:
    """A new folder in `place`, for this user alone; those that killed processes left there are removed."""
    for name in os.listdir(place):
        if name.startswith(prefix):
            held.remove_left(os.path.join(place, name), partial(shutil.rmtree, ignore_errors=True))
    with held_back():
        while True:
            folder = tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=place)
            descriptor = os.open(folder, os.O_RDONLY)
            held.hold(descriptor)
            if os.path.exists(folder):  # nobody took it for left behind before it was held
                _made[folder] = descriptor
                return folder
            os.close(descriptor)


def remove(folder: str) -> None:
    """Ends a folder of `make`."""
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        os.close(_made.pop(folder, -1))


def for_process() -> None:
    """From now on this process, and those that it starts, keep their temporary files in a folder that ends with it.

    Beam makes one for each pipeline, and a signal may come before it is removed. Where there is no place for temporary
    files, whoever needs one says so.
    """
    if not any(os.path.basename(folder).startswith(_OF_PROCESS) for folder in _made):
        with suppress(OSError):
            os.environ["TMPDIR"] = tempfile.tempdir = make(_OF_PROCESS, tempfile.gettempdir())


@atexit.register
def remove_all() -> None:
    """Ends all folders of this process."""
    for folder in list(_made):
        remove(folder)
