"""How well a preference model ranks held-out pairs: accuracy and loss with intervals, beside trivial baselines.

    python -m trainers.evaluate model=MODEL data=PREFERENCE output=FOLDER [split=holdout] [key=value ...]

Every response is scored once. The output is a dataset of kind "evaluation": evaluation.json, and data/scores.arrow with
the reward of every response. Keys: EvaluateConfig in trainers/configs.py.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import torch

from tokenizer.encoder import Encoder
from trainers import configs, model, parallel, preference
from trainers.configs import EvaluateConfig, Parallel
from trainers.data.groups import Group, PreferenceData
from trainers.data.preference import Lengths, pair_batches, plan
from trainers.evaluation import metrics
from trainers.evaluation.metrics import ScoredPairs
from trainers.launch import check_isolation
from trainers.model import RewardModel
from trainers.parallel import Ranks
from transforms.datasets import building, places, shards
from transforms.datasets.manifest import DatasetSpec, Manifest, load_manifest
from transforms.datasets.schema import SCORES

KIND = "evaluation"
REPORT = "evaluation.json"
SCORES_FILE = "data/scores.arrow"
_ROWS_AT_ONCE = 4


def run(config: EvaluateConfig) -> Manifest:
    """Scores a split and writes the evaluation; does nothing when this very evaluation is there.

    Raises ValueError when the model or the data is of another kind, or the split holds no pair.
    """
    trained = load_manifest(config.model, "model")
    data_manifest = load_manifest(config.data, "preference")
    limit = config.sequence_tokens or int(trained.settings.get("sequence_tokens", 0))
    if not limit:
        raise ValueError(f"{config.model} is no preference model and does not say its length: set sequence_tokens=")
    settings = {"split": config.split, "sequence_tokens": limit, "bootstrap": config.bootstrap, "seed": config.seed}
    parents = {"model": trained.digest, "data": data_manifest.digest}
    spec = DatasetSpec(KIND, {**settings, "version": 1}, parents)
    found = building.begin(config.output, spec, config.replace)
    if found is not None:
        return found
    encoder = Encoder.load(config.model)
    ranks = parallel.start(Parallel(), config.threads)
    try:
        data = PreferenceData(config.data, config.split, encoder.end_of_text, encoder.vocab_size)
        reward_model = _load(config.model, encoder, ranks)
        rewards = score(reward_model, data, Lengths(limit, 2 * limit), encoder.pad, ranks)
    finally:
        ranks.close()
    groups = [data.group(index) for index in range(len(data))]
    report = metrics.summary(scored_pairs(groups, rewards), config.bootstrap, config.seed)
    responses = sum(len(group.responses) for group in groups)
    counts = {"evaluation": {"pairs": int(data.num_pairs.sum()), "groups": len(data), "responses": responses}}
    table = _scores(groups, rewards)
    shards.write_shard(config.output, SCORES_FILE, SCORES, [table], spec.fingerprint, KIND, counts=counts)
    text = json.dumps({**settings, "responses": responses, **report}, indent=1, sort_keys=True, ensure_ascii=False)
    places.write_atomically(places.join(config.output, REPORT), text.encode() + b"\n")
    building.record_file(config.output, REPORT)
    return building.commit(config.output, spec, [SCORES_FILE, REPORT])


def _load(place: str, encoder: Encoder, ranks: Ranks) -> RewardModel:
    shape = configs.ModelShape()  # not used: the weights come from `place`
    reward_model = model.reward_model(shape, encoder.vocab_size, encoder.pad, encoder.end_of_text, 0, place)
    reward_model.to(ranks.device).eval()
    check_isolation(reward_model, preference.outputs, encoder.vocab_size, ranks)
    return reward_model


@torch.no_grad()
def score(
    reward_model: RewardModel, data: PreferenceData, lengths: Lengths, pad: int, ranks: Ranks
) -> list[np.ndarray]:
    """The reward of every response: one array for each group, in the order of its responses."""
    rewards = [np.full(len(data.lengths(index)[1]), np.nan) for index in range(len(data))]
    parts, _ = plan(data, range(len(data)), lengths)
    for batch in pair_batches(data, parts, lengths, 0, 1, _ROWS_AT_ONCE, pad):
        values = preference.rewards(reward_model, batch, ranks).double().cpu().numpy()
        for group, response, value in zip(batch.groups, batch.responses, values, strict=True):
            rewards[group][response] = value
    if any(np.isnan(values).any() for values in rewards):
        raise RuntimeError(f"a reward of the {data.split} split is not a number: the model's weights are not finite")
    return rewards


def scored_pairs(groups: Sequence[Group], rewards: Sequence[np.ndarray]) -> ScoredPairs:
    """All pairs of all groups with their rewards."""

    def of_pairs(name: str, side: str) -> np.ndarray:
        return np.concatenate([getattr(g, name)[getattr(g, side)] for g in groups] or [np.zeros(0, np.int64)])

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(g, name) for g in groups] or [np.zeros(0)])

    sides = {
        side: np.concatenate([r[getattr(g, side)] for g, r in zip(groups, rewards, strict=True)] or [np.zeros(0)])
        for side in ("chosen", "rejected")
    }
    return ScoredPairs(
        group=np.repeat(np.arange(len(groups)), [len(g.chosen) for g in groups]),
        language=[g.language or "unknown" for g in groups for _ in g.chosen],
        chosen_reward=sides["chosen"],
        rejected_reward=sides["rejected"],
        target=joined("target").astype(np.float64),
        weight=joined("weight").astype(np.float64),
        margin=joined("margin").astype(np.int64),
        chosen_chars=of_pairs("chars", "chosen"),
        rejected_chars=of_pairs("chars", "rejected"),
        chosen_ms=of_pairs("created_ms", "chosen"),
        rejected_ms=of_pairs("created_ms", "rejected"),
    )


def _scores(groups: Sequence[Group], rewards: Sequence[np.ndarray]) -> pa.Table:
    return pa.table(
        {
            "group_id": [g.group_id for g in groups for _ in g.responses],
            "post_id": [post for g in groups for post in g.post_ids],
            "reward": pa.array(np.concatenate(rewards).astype(np.float32)),
        },
        schema=SCORES,
    )


def main() -> int:
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        return 0 if arguments else 2
    try:
        config = configs.load(EvaluateConfig, "evaluate", arguments)
        run(config)
    except (ValueError, RuntimeError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 1
    report = json.loads(places.read_bytes(places.join(config.output, REPORT)))
    print(describe(report), file=sys.stderr)
    return 0


def describe(report: dict[str, object]) -> str:
    """The evaluation in a few lines."""

    def shown(estimate: object) -> str:
        assert isinstance(estimate, dict)
        return f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"

    lines = [f"evaluate: {report['split']}, {report['pairs']:,} pairs of {report['groups']:,} prompts, 95% intervals"]
    lines.append(f"  accuracy  {shown(report['accuracy'])}   loss {shown(report['loss'])}")
    trivial = report["baselines"]
    assert isinstance(trivial, dict)
    for name, values in trivial.items():
        lines.append(f"  {name:<9} {shown(values['accuracy'])}   ours above it by {shown(values['difference'])}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
