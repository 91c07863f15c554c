"""Asks the nursery for a worker and waits for its end: the command that Beam starts for each local worker.

    python -I -S ask_worker.py SOCKET

It imports nothing but the standard library, so it is there in 20 ms.
"""

from __future__ import annotations

import json
import os
import socket
import sys

_BYTES = "latin-1"  # as in `worker`


def main() -> int:
    """0 when the worker has done its work; 1 when it has died, or there is no nursery."""
    environment = {name.decode(_BYTES): value.decode(_BYTES) for name, value in os.environb.items()}
    asked = {"environment": environment, "folder": os.getcwdb().decode(_BYTES)}
    with socket.socket(socket.AF_UNIX) as nursery:
        try:
            nursery.connect(sys.argv[1])
            nursery.sendall(json.dumps(asked).encode() + b"\n")
            return 0 if nursery.recv(1) else 1
        except OSError:
            return 1


if __name__ == "__main__":
    sys.exit(main())
