"""Asks the nursery for a worker and waits for its end: the command that Beam starts for each local worker.

    python -I -S ask_worker.py SOCKET

It imports nothing but the standard library, so it is there in 20 ms.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys

BYTES = "latin-1"  # as in `worker`


def main() -> int:
    """0 when the worker has done its work; 1 when it has died, or there is no nursery."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a trace, and so the driver's wait
    with socket.socket(socket.AF_UNIX) as nursery:
        nursery.connect(sys.argv[1])
        environment = {name.decode(BYTES): value.decode(BYTES) for name, value in os.environb.items()}
        asked = {"environment": environment, "folder": os.getcwdb().decode(BYTES)}
        nursery.sendall(json.dumps(asked).encode() + b"\n")
        return 0 if nursery.recv(1) else 1


if __name__ == "__main__":
    sys.exit(main())
