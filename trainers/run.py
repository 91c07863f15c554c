"""A trainer as several processes, on one machine or many: what torchrun does, for runs that are told to stop.

    python -m trainers.run --nproc-per-node 8 pretrain CONFIG key=value ...
    python -m trainers.run --nnodes 2 --nproc-per-node 8 --rdzv-endpoint HOST:PORT --rdzv-id JOB preference CONFIG ...

The second runs on each machine; under SLURM by `srun --ntasks-per-node=1`, with `#SBATCH --signal=USR1@300`.

SIGTERM, SIGUSR1 and Ctrl-C go on to all ranks, which save and end within --stop-timeout seconds; a second Ctrl-C ends
them at once. Exit status 0: done; 75: told to stop and saved, run the same command again; else that of the rank that
failed first, or 128 and the number of the signal that ended it. Ranks end with this process, however it ends.
"""

from __future__ import annotations

import argparse
import os
import sys
import uuid

from transforms.datasets import parent, shown

if __name__ == "__main__":  # before torch is imported, which takes seconds
    parent.begin()

from torch.distributed.elastic.agent.server import WorkerSpec
from torch.distributed.elastic.rendezvous import RendezvousParameters
from torch.distributed.elastic.rendezvous.api import RendezvousError
from torch.distributed.elastic.rendezvous.registry import get_rendezvous_handler

from trainers.agent import RankAgent

_MONITOR_S = 0.05
_STATIC_PORT = 29500  # torchrun's


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainers.run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--nproc-per-node", "--nproc_per_node", type=_number, default=1, help="ranks on each machine")
    add("--nnodes", type=_number, default=1, help="machines")
    add("--rdzv-endpoint", "--rdzv_endpoint", default="", help="HOST:PORT where the machines meet")
    add("--rdzv-id", "--rdzv_id", default="", help="names the run, the same on each machine")
    add("--rdzv-backend", "--rdzv_backend", default="", help="c10d (with an endpoint) or static (with the four below)")
    add("--node-rank", "--node_rank", type=int, default=0, help="number of this machine")
    add("--master-addr", "--master_addr", default="127.0.0.1", help="address of the first machine")
    add("--master-port", "--master_port", type=int, default=_STATIC_PORT, help="a free port on it")
    add("--stop-timeout", "--stop_timeout", type=float, default=600, help="seconds in which ranks may save")
    add("trainer", choices=("pretrain", "preference"))
    add("arguments", nargs=argparse.REMAINDER, metavar="CONFIG key=value ...")
    return parser


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return int(text)


def _meeting(arguments: argparse.Namespace) -> RendezvousParameters:
    """Where the machines of a run meet: one alone by itself, several at an endpoint or as they are numbered."""
    backend, endpoint, run_id = arguments.rdzv_backend, arguments.rdzv_endpoint, arguments.rdzv_id
    if arguments.nnodes == 1 and not endpoint:
        backend, endpoint, run_id = "c10d", "localhost:0", uuid.uuid4().hex
    backend = backend or ("c10d" if endpoint else "static")
    settings = {"rank": arguments.node_rank} if backend == "static" else {}
    endpoint = endpoint or f"{arguments.master_addr}:{arguments.master_port}"
    nodes = arguments.nnodes
    return RendezvousParameters(backend, endpoint, run_id or "agora", nodes, nodes, timeout=900, **settings)


def main() -> int:
    """The command line; returns the exit status."""
    arguments = _parser().parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the configuration's `threads` decides
    command = [sys.executable, "-m", f"trainers.{arguments.trainer}", *arguments.arguments]
    try:
        spec = WorkerSpec(
            role=arguments.trainer,
            local_world_size=arguments.nproc_per_node,
            rdzv_handler=get_rendezvous_handler(_meeting(arguments)),
            entrypoint=arguments.trainer,
            max_restarts=0,  # who sent the signal, or looks at the status, runs the command again
            monitor_interval=_MONITOR_S,
        )
        agent = RankAgent(spec, command, arguments.stop_timeout)
        agent.run()
        spec.rdzv_handler.shutdown()
    except (ValueError, RuntimeError, OSError, RendezvousError) as error:
        print(shown.message(f"{arguments.trainer}: {error}"), file=sys.stderr)
        return 1
    status, why = agent.outcome()
    if why:
        print(why, file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
