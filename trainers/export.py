"""A trained model as a dataset of kind "model": a Hugging Face folder with a manifest.

Plain `transformers` loads it without our code: safetensors, config.json, and the tokenizer's own files. The manifest's
settings are the run's identity and its parents are the data, tokenizer and model it came from, so a finished run is not
run again.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from trainers import parallel
from trainers.model import LanguageModel, RewardModel
from trainers.parallel import Ranks
from transforms.datasets import building, places
from transforms.datasets.manifest import BUILDING, MANIFEST, RUN, DatasetSpec, Manifest
from transforms.datasets.standing import Existing

FOLDER = "export"
# What transformers' AutoTokenizer reads; a tokenizer folder holds some of them.
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
)


def write(
    folder: str,
    spec: DatasetSpec,
    model: LanguageModel | RewardModel,
    tokenizer: str,
    counts: Mapping[str, Mapping[str, int]],
    ranks: Ranks,
) -> None:
    """Writes and commits the export. Every rank must call it; the first one writes.

    tokenizer: the folder whose tokenizer files go along. Raises ValueError when it has no tokenizer.json.
    """
    weights = parallel.full_state(model)
    if ranks.first:
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        # a tied weight is stored once; gathered copies no longer show that they are one
        tied = {f"hf.{name}" for name in model.hf.all_tied_weights_keys}
        state = {name.removeprefix("hf."): tensor for name, tensor in weights.items() if name not in tied}
        model.hf.save_pretrained(place, state_dict=state)
        for name in TOKENIZER_FILES:
            source = places.join(tokenizer, name)
            if places.exists(source):
                (place / name).write_bytes(places.read_bytes(source))
        if not (place / "tokenizer.json").is_file():
            raise ValueError(f"the tokenizer folder {tokenizer} has no tokenizer.json; name one that has")
        written = sorted(path.name for path in place.iterdir() if path.suffix in (".json", ".safetensors", ".jinja"))
        written = [name for name in written if name not in (BUILDING, MANIFEST, RUN)]
        for name in written:
            building.record_file(folder, name)
        building.commit(folder, spec, written, counts=counts)
    ranks.wait()


def finished(folder: str, spec: DatasetSpec, existing: Existing) -> Manifest | None:
    """The manifest of this very run's export, or None when the run is to be made (or gone on with).

    Raises ValueError when the results of another run are there, unless `existing` says what becomes of them.
    """
    return building.begin(folder, spec, existing)


def clear(output: Path) -> None:
    """Removes the results of another run, when told to replace them."""
    for name in ("checkpoints", FOLDER):
        shutil.rmtree(output / name, ignore_errors=True)
