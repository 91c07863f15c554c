"""Too little memory for a process: refused before the work begins, and recognised where it shows later.

Under a bound on address space (`ulimit -v`, `prlimit --as`) libraries that cannot start a thread or map a block do not
all say so: some wait for ever, some end the process without a word. Beam-free, so that it is asked before the imports.
"""

from __future__ import annotations

import errno
import re
import resource

# Address space that processes take on the sample, most of it reserved and never used (VmPeak): 1.9 GB to ingest, 2.2 to
# annotate; 2.9 in a process that drives workers, or is one, with the threads that they talk through.
_LEAST, _LEAST_WITH_WORKERS = 2_000_000_000, 3_000_000_000
_SAID = re.compile(r"can't start new thread|\bMemoryError\b|bad_alloc|failed to map segment|[Cc]annot allocate memory")
TOO_LITTLE = (
    "there is too little memory: the system gives no more to this process. Give ingest a bound with --memory, or fewer "
    "--workers, or raise the limit (ulimit -v), and run the same command again"
)


def check_address_space(workers: int = 1) -> None:
    """Raises ValueError where this process, and those that it starts, may have less address space than they need."""
    least = _LEAST if workers == 1 else _LEAST_WITH_WORKERS
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if resource.RLIM_INFINITY != limit < least:
        fewer = " or take --workers 1" if workers > 1 and limit >= _LEAST else ""
        raise ValueError(
            f"the address space of a process is limited to {limit / 1e9:.1f} GB, and Python, Beam and Arrow reserve up "
            f"to {least / 1e9:.1f} GB{' where there are workers' if workers > 1 else ''}, of which they use a part; "
            f"raise the limit (ulimit -v {least // 1000}){fewer}. `--memory` of ingest bounds what is really used"
        )


def is_too_little(error: BaseException) -> bool:
    """Whether an error is the want of memory, here or, in Beam's words, in a worker."""
    no_memory = isinstance(error, OSError) and error.errno == errno.ENOMEM
    return no_memory or isinstance(error, MemoryError) or bool(_SAID.search(f"{type(error).__name__}: {error}"))
