"""A local Beam worker process: Beam's own, but quiet, and gone when its parent is gone.

Beam starts one per `--workers`. Its stock entry point logs at INFO to the terminal and outlives a killed parent, which
could then write into the folder that a new run has taken over.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time

logging.disable(logging.WARNING)  # before Beam is imported, which warns of what a local worker does not need

from apache_beam.runners.worker import sdk_worker_main  # noqa: E402

_CHECK_S = 0.2


def leave_with(parent: int) -> None:
    """Ends this process, whatever it is doing, once its parent is another than `parent`."""
    while os.getppid() == parent:
        time.sleep(_CHECK_S)
    os._exit(1)


def main() -> None:
    """The one argument is the process that started us: by now it may be dead, and our parent another."""
    program, parent = sys.argv
    threading.Thread(target=leave_with, args=(int(parent),), daemon=True).start()
    sdk_worker_main.main([program])


if __name__ == "__main__":
    main()
