"""Language-model pretraining on curriculum shards.

    python -m trainers.pretrain CONFIG data=CURRICULUM tokenizer=TOKENIZER output=FOLDER [key=value ...]
    python -m trainers.run --nproc-per-node 8 pretrain CONFIG ...

CONFIG is a file, or the name of a shipped one: debug_cpu, small_cpu, qwen3_0.6b. Keys: trainers/configs.py. Exit
status 0: done; 75: told to stop by SIGTERM, SIGUSR1 or Ctrl-C, and saved: run the same command again; anything else:
failed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from transforms.datasets import parent

if __name__ == "__main__":  # before torch is imported, which takes seconds
    parent.begin()

import torch
from torch import Tensor, nn

from tokenizer.encoder import Encoder
from trainers import launch, model, parallel
from trainers.configs import PretrainConfig
from trainers.data.curriculum import CurriculumLoader
from trainers.data.rows import NO_TARGET, SequenceBatch
from trainers.launch import Job
from trainers.parallel import Ranks


class _PretrainTask:
    """Next-token cross-entropy within each document."""

    names = ("loss_sum",)

    def __init__(self, validation: CurriculumLoader | None) -> None:
        self._validation = validation

    def loss(self, language_model: nn.Module, micro_batch: SequenceBatch, ranks: Ranks) -> tuple[Tensor, list[Tensor]]:
        """See `loop.Task`: the sum over the micro-batch's targets, in nats."""
        rows = micro_batch.rows
        arrays = (rows.tokens, rows.positions, rows.groups, rows.branches, micro_batch.labels)
        loss = language_model(*(ranks.put(array) for array in arrays)).sum()
        return loss, [loss]

    def report(self, sums: Mapping[str, float], count: int) -> dict[str, float]:
        """The mean loss a target token; count: tokens."""
        return {"loss": sums["loss_sum"] / count}

    def evaluate(self, language_model: nn.Module, ranks: Ranks, check: Callable[[], None]) -> dict[str, Any]:
        """Mean loss a token over the whole validation curriculum. See `loop.Task`."""
        if self._validation is None:
            return {}
        total, count = ranks.zeros(1), 0
        with parallel.inference(language_model):
            for step in range(self._validation.steps):
                batch = self._validation.batch(step, ranks.rank, ranks.world)
                for micro_batch in batch.micro_batches:
                    check()
                    total += self.loss(language_model, micro_batch, ranks)[0]
                count += batch.count
        return {"loss": ranks.sum(total)[0] / count, "targets": count}


def outputs(
    language_model: nn.Module, tokens: Tensor, positions: Tensor, groups: Tensor, branches: Tensor, places: Tensor
) -> Tensor:
    """The loss of predicting token 0 from each place: what the isolation check watches."""
    labels = torch.full_like(tokens, NO_TARGET)
    labels.view(-1)[places] = 0
    return language_model(tokens, positions, groups, branches, labels)


def make_job(encoder: Encoder, config: PretrainConfig) -> Job[SequenceBatch]:
    """Data, loss and model of a pretraining run."""

    def open_loader(place: str) -> CurriculumLoader:
        return CurriculumLoader(place, config.global_sequences, config.micro_sequences, encoder.pad, encoder.vocab_size)

    loader, validation = open_loader(config.data), open_loader(config.validation) if config.validation else None
    return Job(
        name="pretrain",
        loader=loader,
        task=_PretrainTask(validation),
        data=loader.dataset,
        build_model=lambda: model.language_model(
            config.model, encoder.vocab_size, encoder.pad, encoder.end_of_text, config.seed, config.init
        ),
        outputs=outputs,
        counts={"data": {"sequences": loader.sequences}},
        summary=f"{loader.sequences:,} sequences",
        validation=validation.dataset if validation else None,
    )


def main() -> int:
    return launch.main(sys.argv[1:], __doc__, PretrainConfig, "pretrain", make_job)


if __name__ == "__main__":
    sys.exit(main())
