"""Whether files are read without a look at their hashes: told by an environment variable, since worker processes and
trainers inherit those."""

from __future__ import annotations

import os

TRUST = "AGORA_TRUST"  # "1": sizes alone are looked at


def is_trusting() -> bool:
    """Whether this process was told to."""
    return os.environ.get(TRUST) == "1"
