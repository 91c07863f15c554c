"""How well a preference model ranks held-out pairs: accuracy and loss with intervals, beside trivial baselines.

    python -m trainers.evaluate model=MODEL data=PREFERENCE output=FOLDER [split=holdout] [key=value ...]

Every response is scored once. The output is a dataset of kind "evaluation": evaluation.json, and data/scores.arrow with
the reward of every response. Keys: EvaluateConfig in trainers/configs.py.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence

from transforms.datasets import parent

if __name__ == "__main__":  # before torch is imported, which takes seconds
    parent.begin()

import numpy as np
import pyarrow as pa

from tokenizer.encoder import Encoder
from trainers import configs, outside, parallel
from trainers.configs import EvaluateConfig, Parallel
from trainers.data.groups import Group, PreferenceData
from trainers.data.preference import Lengths
from trainers.evaluation import metrics
from trainers.evaluation.scoring import load_model, score, scored_pairs
from transforms.datasets import places, shards, shown
from transforms.datasets.building import Build
from transforms.datasets.dataset import Dataset, check_folder
from transforms.datasets.manifest import Manifest, load_manifest
from transforms.datasets.schema import SCORES
from transforms.datasets.standing import Existing
from transforms.datasets.step import EVALUATION, MODEL, Wanted, make_one

_REPORT = "evaluation.json"
_SCORES_FILE = "data/scores.arrow"


def run(config: EvaluateConfig) -> Manifest:
    """Scores a split and writes the evaluation; does nothing when this very evaluation is there.

    Raises ValueError when the model or the data is of another kind, or the split holds no pair.
    """
    config = dataclasses.replace(config, model=outside.folder(config.model, "model"))
    trained = load_manifest(config.model, MODEL.kind)
    data = Dataset.open(config.data, "preference")
    limit = config.sequence_tokens or int(trained.settings.get("sequence_tokens", 0))
    if not limit:
        raise ValueError(f"{config.model} is no preference model and does not say its length: set sequence_tokens=")
    settings = {"split": config.split, "sequence_tokens": limit, "bootstrap": config.bootstrap, "seed": config.seed}
    spec = EVALUATION.spec(settings, {"model": trained.digest, "data": data.digest})

    def write(build: Build) -> None:
        check_folder(config.model)
        groups, rewards = _score(config, limit)
        report = metrics.summary(scored_pairs(groups, rewards), config.bootstrap, config.seed)
        _write(build, groups, rewards, {**settings, **report})

    wanted = Wanted(config.output, spec, [_SCORES_FILE, _REPORT], [config.model, config.data])
    return make_one(wanted, Existing.of(config.replace, config.keep), write)


def _score(config: EvaluateConfig, limit: int) -> tuple[list[Group], list[np.ndarray]]:
    """The groups of the split, and the rewards of each one's responses."""
    encoder = Encoder.load(config.model)
    ranks = parallel.start(Parallel(), config.threads)
    try:
        data = PreferenceData(config.data, config.split, encoder.end_of_text, encoder.vocab_size)
        reward_model = load_model(config.model, encoder, ranks)
        rewards = score(reward_model, data, Lengths(limit, 2 * limit), encoder.pad, ranks)
    finally:
        ranks.close()
    return [data.group(index) for index in range(len(data))], rewards


def _write(build: Build, groups: Sequence[Group], rewards: Sequence[np.ndarray], report: Mapping[str, object]) -> None:
    responses = sum(len(group.responses) for group in groups)
    pairs = sum(len(group.chosen) for group in groups)
    counts = {"evaluation": {"pairs": pairs, "groups": len(groups), "responses": responses}}
    table = _scores(groups, rewards)
    shards.write_shard(build, _SCORES_FILE, SCORES, [table], counts=counts)
    text = json.dumps({**report, "responses": responses}, indent=1, sort_keys=True, ensure_ascii=False)
    build.write_file(_REPORT, text.encode() + b"\n")


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
    """The command line; returns the exit status: 0 done, 1 failed and said why, 2 without arguments."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        return 0 if arguments else 2
    try:
        config = configs.load(EvaluateConfig, "evaluate", arguments)
        run(config)
    except (ValueError, RuntimeError, OSError) as error:
        print(shown.message(f"evaluate: {error}"), file=sys.stderr)
        return 1
    report = json.loads(places.read_bytes(places.join(config.output, _REPORT)))
    print(_describe(report, config.split), file=sys.stderr)
    return 0


def _describe(report: metrics.Summary, split: str) -> str:
    """The evaluation in a few lines."""

    def shown(estimate: metrics.Estimate) -> str:
        return f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"

    lines = [f"evaluate: {split}, {report['pairs']:,} pairs of {report['groups']:,} prompts, 95% intervals"]
    lines.append(f"  accuracy  {shown(report['accuracy'])}   loss {shown(report['loss'])}")
    for name, values in report["baselines"].items():
        lines.append(f"  {name:<9} {shown(values['accuracy'])}   ours above it by {shown(values['difference'])}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
