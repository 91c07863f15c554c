"""Preference-model training (Bradley-Terry, WorldPM section 2) on preference shards.

    python -m trainers.preference CONFIG data=PREFERENCE init=MODEL output=FOLDER [key=value ...]
    python -m trainers.run --nproc-per-node 2 preference CONFIG data=... init=... output=...

init is a language model (or a preference model) to start from; without it weights are fresh and tokenizer= is needed.
CONFIG is a file, or the name of a shipped one: debug_cpu, small_cpu, qwen3_0.6b. Keys: trainers/configs.py. Exit
status 0: done; 75: told to stop by SIGTERM, SIGUSR1 or Ctrl-C, and saved: run the same command again; anything else:
failed.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping
from typing import Any

from transforms.datasets import parent

if __name__ == "__main__":  # before torch is imported, which takes seconds
    parent.begin()

import numpy as np
import torch
from torch import Tensor, nn

from tokenizer.encoder import Encoder
from trainers import launch, losses, model, parallel
from trainers.configs import PreferenceConfig
from trainers.data.groups import PreferenceData
from trainers.data.preference import Cuts, Lengths, PreferenceLoader, count_cuts, pair_batches, plan_parts
from trainers.data.rows import PairBatch
from trainers.evaluation import metrics
from trainers.launch import Job
from trainers.parallel import Ranks

_MANY_CUT = 0.2  # of the responses, under a prompt that is cut: more are worth a word


class PreferenceTask:
    """Bradley-Terry loss over the pairs of packed groups."""

    names = ("loss_sum", "agreement", "reward", "reward_squared", "responses", "gap")

    def __init__(self, validation: PreferenceData, lengths: Lengths, micro_rows: int, pad: int) -> None:
        self._validation, self._lengths, self._micro_rows, self._pad = validation, lengths, micro_rows, pad
        self._parts = plan_parts(validation, range(len(validation)), lengths)
        self._validation_pairs = int(validation.num_pairs.sum())

    def loss(self, reward_model: nn.Module, micro_batch: PairBatch, ranks: Ranks) -> tuple[Tensor, list[Tensor]]:
        """See `loop.Task`: summed over the pairs, weighted, in nats; and the sums in the order of `names`."""
        loss, numbers, _ = self._loss(reward_model, micro_batch, ranks)
        return loss, numbers

    def _loss(
        self, reward_model: nn.Module, micro_batch: PairBatch, ranks: Ranks
    ) -> tuple[Tensor, list[Tensor], Tensor]:
        """Also the loss and the agreement of each pair: [P, 2]."""
        reward_R = rewards(reward_model, micro_batch, ranks)
        chosen_P = reward_R[ranks.put(micro_batch.chosen)]
        rejected_P = reward_R[ranks.put(micro_batch.rejected)]
        target_P, weight_P = ranks.put(micro_batch.target), ranks.put(micro_batch.weight)
        loss_P = losses.bradley_terry(chosen_P, rejected_P, target_P, weight_P)
        right_P = losses.agreement(chosen_P, rejected_P)
        loss = loss_P.sum()
        if not len(reward_R):
            loss = loss + reward_R.sum()  # an empty row: zero, but it takes part in every collective
        numbers = [
            loss,
            right_P.sum(),
            reward_R.sum(),
            reward_R.square().sum(),
            reward_R.new_full((), len(reward_R)),
            (chosen_P - rejected_P).sum(),
        ]
        return loss, numbers, torch.stack([loss_P, right_P], dim=1).detach()

    def report(self, sums: Mapping[str, float], count: int) -> dict[str, float]:
        """Means a pair (loss, accuracy, gap) and a response (reward); count: pairs."""
        responses = max(1.0, sums["responses"])
        mean = sums["reward"] / responses
        return {
            "loss": sums["loss_sum"] / count,
            "accuracy": sums["agreement"] / count,
            "pairs": float(count),
            "reward_mean": mean,
            "reward_std": max(0.0, sums["reward_squared"] / responses - mean * mean) ** 0.5,
            "gap_mean": sums["gap"] / count,
        }

    def evaluate(self, reward_model: nn.Module, ranks: Ranks, check: Callable[[], None]) -> dict[str, Any]:
        """The same metrics over the validation split, and how far they hold for other prompts (`Validation`)."""
        if not self._validation_pairs:
            return {}
        totals = ranks.zeros(len(self.names))
        sums_G2 = ranks.zeros(2 * len(self._validation)).view(-1, 2)  # loss and agreement of each prompt
        batches = pair_batches(
            self._validation, self._parts, self._lengths, ranks.rank, ranks.world, self._micro_rows, self._pad
        )
        with parallel.inference(reward_model):
            for batch in batches:
                check()
                _, numbers, pairs_P2 = self._loss(reward_model, batch, ranks)
                totals += torch.stack(numbers)
                sums_G2.index_add_(0, ranks.put(batch.groups[batch.chosen]), pairs_P2.double())
        summed = ranks.sum(torch.cat([totals, sums_G2.flatten()]))
        found = self.report(dict(zip(self.names, summed, strict=False)), self._validation_pairs)
        loss_G, right_G = np.reshape(summed[len(totals) :], sums_G2.shape).T
        low, high = metrics.share_interval(right_G, self._validation.num_pairs)
        error = metrics.standard_error(loss_G, self._validation.num_pairs)
        return {**found, "error": error, "low": low, "high": high, "prompts": len(self._validation)}


def rewards(reward_model: nn.Module, batch: PairBatch, ranks: Ranks) -> Tensor:
    """The reward of each response of a micro-batch: [R], fp32."""
    rows = batch.rows
    arrays = (rows.tokens, rows.positions, rows.groups, rows.branches, batch.score_places)
    return reward_model(*(ranks.put(array) for array in arrays))


def outputs(reward_model: nn.Module, *tensors: Tensor) -> Tensor:
    """The reward at each place: what the isolation check watches."""
    return reward_model(*tensors)


def make_job(encoder: Encoder, config: PreferenceConfig) -> Job[PairBatch]:
    """Data, loss and model of a preference run."""
    model.check_score_token(encoder.pad, encoder.end_of_text)
    lengths = Lengths(config.sequence_tokens, config.row_tokens)
    data, validation = (
        PreferenceData(config.data, split, encoder.end_of_text, encoder.vocab_size) for split in ("train", "validation")
    )
    loader = PreferenceLoader(
        data, lengths, config.global_pairs, config.micro_rows, config.epochs, config.seed, encoder.pad
    )
    cuts = count_cuts(data, lengths)
    cut = dataclasses.asdict(cuts)
    shown = ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in cut.items() if value)
    return Job(
        name="preference",
        loader=loader,
        task=PreferenceTask(validation, lengths, config.micro_rows, encoder.pad),
        data=data.dataset,
        build_model=lambda: model.check_length(
            model.reward_model(
                config.model, encoder.vocab_size, encoder.pad, encoder.end_of_text, config.seed, config.init
            ),
            config.sequence_tokens,
        ),
        outputs=outputs,
        counts={"data": {"groups": len(data), "pairs": loader.pairs, "responses": data.num_responses}, "cuts": cut},
        summary=f"{loader.pairs:,} pairs of {len(data):,} prompts" + (f" ({shown})" if shown else ""),
        warnings=cut_warnings(cuts, data.num_responses, config.sequence_tokens),
        sequence_tokens=config.sequence_tokens,
    )


def cut_warnings(cuts: Cuts, responses: int, sequence_tokens: int) -> list[str]:
    """What to know of a run that cuts the prompts of many of its responses, and which settings cut fewer."""
    if cuts.prompts_cut <= _MANY_CUT * responses:
        return []
    return [
        f"{cuts.prompts_cut / responses:.0%} of the answers stand under a prompt that lost its beginning: the two are "
        f"longer than sequence_tokens={sequence_tokens}. sequence_tokens={2 * sequence_tokens} "
        f"row_tokens={4 * sequence_tokens} cuts fewer, and takes longer"
    ]


def main() -> int:
    return launch.main(sys.argv[1:], __doc__, PreferenceConfig, "preference", make_job)


if __name__ == "__main__":
    sys.exit(main())
