"""Asks the nursery for a worker and waits for its end: the command that Beam starts for each local worker.

    python -I -S ask_worker.py SOCKET

It imports nothing but the standard library, so it is there in 20 ms.
"""

from __future__ import annotations

import json
import os
import socket
import sys


def main() -> int:
    """0 when the worker has done its work; 1 when it has died, or there is no nursery."""
    with socket.socket(socket.AF_UNIX) as nursery:
        nursery.connect(sys.argv[1])
        asked = {"environment": dict(os.environ), "folder": os.getcwd()}
        nursery.sendall(json.dumps(asked).encode() + b"\n")
        return 0 if nursery.recv(1) else 1


if __name__ == "__main__":
    sys.exit(main())
