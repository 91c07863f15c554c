"""The ranks of one machine: started, told to stop, waited for. Ranks of several machines meet by torch's elastic agent.

Signals go on to the ranks, which then save. torchrun's own agent sends but one of them, waits half a minute, and takes
a rank that has saved for one that has failed.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from subprocess import Popen
from types import FrameType
from typing import IO

from torch.distributed.elastic.agent.server import RunResult, SimpleElasticAgent, WorkerGroup, WorkerSpec, WorkerState

from trainers.runlog import LAST_WORDS
from trainers.stopping import PREEMPTED
from transforms.datasets import parent, stop_signals

_WORDS_BYTES = 1 << 16
_BARRIER_S = 300  # for which a machine whose ranks have ended waits for the others: its store may be theirs


@dataclass(frozen=True)
class _Rank:
    rank: int
    process: Popen[bytes]
    words: IO[bytes]  # why it failed, if it has said so


class RankAgent(SimpleElasticAgent):
    """Runs a command as the ranks of this machine; a rank that fails ends the others.

    stop_timeout: seconds from a signal on in which ranks may save, before they are killed.
    """

    def __init__(self, spec: WorkerSpec, command: Sequence[str], stop_timeout: float) -> None:
        super().__init__(spec, exit_barrier_timeout=_BARRIER_S)
        self._command, self._stop_timeout = command, stop_timeout
        self._ranks: list[_Rank] = []
        self._open = ExitStack()
        self._signals: list[int] = []  # received
        self._sent = 0  # of them, so many were sent on
        self._deadline = float("inf")
        self._failed: _Rank | None = None

    def outcome(self) -> tuple[int, str]:
        """The exit status when run() has ended, and what is to be said: "" where all ranks are done or have saved, or
        ended by the signal that they were sent."""
        if self._failed is None:
            return self._unfailed()
        rank, status, trainer = self._failed.rank, self._failed.process.returncode, self._worker_group.spec.role
        if status > 0:
            words = os.pread(self._failed.words.fileno(), _WORDS_BYTES, 0).decode(errors="replace")
            return status, f"{words} (rank {rank})" if words else f"{trainer}: rank {rank} ended with status {status}"
        if -status in self._sent_on():
            return 128 - status, ""
        return 128 - status, f"{trainer}: rank {rank} was ended by {signal.Signals(-status).name}"

    def _unfailed(self) -> tuple[int, str]:
        statuses = [rank.process.returncode for rank in self._ranks]
        if not statuses:
            return 1, f"{self._worker_group.spec.role}: the other machines have ended without this one"
        if set(statuses) <= {0, PREEMPTED}:
            return max(statuses), ""
        if self._signals.count(signal.SIGINT) > 1:
            return 128 + signal.SIGINT, ""
        told = f"ranks had not ended {self._stop_timeout:g} s after {signal.Signals(self._signals[0]).name}"
        return 128 + signal.SIGKILL, f"{self._worker_group.spec.role}: {told} and were killed; see --stop-timeout"

    def _start_workers(self, worker_group: WorkerGroup) -> dict[int, int]:
        for number in stop_signals.heeded():
            signal.signal(number, self._heed)
        self._ranks = []
        for worker in worker_group.workers:
            words = self._open.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
            environment = {
                **os.environ,
                "RANK": str(worker.global_rank),
                "LOCAL_RANK": str(worker.local_rank),
                "WORLD_SIZE": str(worker.world_size),
                "LOCAL_WORLD_SIZE": str(worker_group.spec.local_world_size),
                "GROUP_RANK": str(worker_group.group_rank),
                "MASTER_ADDR": str(worker_group.master_addr),
                "MASTER_PORT": str(worker_group.master_port),
                "TORCHELASTIC_RUN_ID": worker_group.spec.rdzv_handler.get_run_id(),
                "TORCHELASTIC_USE_AGENT_STORE": str(worker_group.spec.rdzv_handler.use_agent_store),
                LAST_WORDS: str(words.fileno()),
            }
            process = self._open.enter_context(parent.started(self._command, environment, [words.fileno()]))
            self._ranks.append(_Rank(worker.global_rank, process, words))
        return {index: rank.process.pid for index, rank in enumerate(self._ranks)}

    def _monitor_workers(self, worker_group: WorkerGroup) -> RunResult:
        self._send_on()
        statuses = {rank.rank: rank.process.poll() for rank in self._ranks}
        failed = [rank for rank in self._ranks if statuses[rank.rank] not in (None, 0, PREEMPTED)]
        if failed:  # the first one; those that it left alone fail as well
            self._failed = min(failed, key=_when)
        is_over = time.monotonic() > self._deadline or self._signals.count(signal.SIGINT) > 1
        if failed or is_over:
            return RunResult(WorkerState.FAILED)
        if None in statuses.values():
            return RunResult(WorkerState.HEALTHY)
        return RunResult(WorkerState.SUCCEEDED, return_values=statuses)

    def _stop_workers(self, worker_group: WorkerGroup, *_: object) -> None:
        self._shutdown()

    def _shutdown(self, *_: object, **__: object) -> None:
        for rank in self._ranks:  # at once, not one after the other
            if rank.process.poll() is None:
                rank.process.kill()
        for rank in self._ranks:
            rank.process.wait()

    def _heed(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(number)

    def _send_on(self) -> None:
        """Ctrl-C and a closed terminal go on as SIGTERM, which ends a rank quietly that has nothing to save yet."""
        if len(self._signals) > self._sent:
            self._deadline = min(self._deadline, time.monotonic() + self._stop_timeout)
            for number in {*self._sent_on(self._sent)}:
                for rank in self._ranks:
                    rank.process.send_signal(number)
            self._sent = len(self._signals)

    def _sent_on(self, since: int = 0) -> list[int]:
        return [number if number == signal.SIGUSR1 else signal.SIGTERM for number in self._signals[since:]]


def _when(rank: _Rank) -> tuple[bool, int]:
    """Orders ranks that failed: one that was killed before those that say why, and those by when they said it."""
    words = os.fstat(rank.words.fileno())
    return words.st_size > 0, words.st_mtime_ns
