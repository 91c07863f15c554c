"""A trained model as a dataset of kind "model": a Hugging Face folder with a manifest.

Plain `transformers` loads it without our code: safetensors, config.json, and the tokenizer's own files. The manifest's
settings are the run's identity and its parents are the data, tokenizer and model it came from, so a finished run is not
run again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from trainers import parallel
from trainers.model import LanguageModel, RewardModel
from trainers.parallel import Ranks
from transforms.datasets import places
from transforms.datasets.opening import Opened

FOLDER = "export"
_TRAINING = "training.json"  # how the run went: which step this is, and its validation
# What transformers' AutoTokenizer reads; a tokenizer folder holds some of them.
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
)


def write(
    opened: Opened | None,
    model: LanguageModel | RewardModel,
    tokenizer: str,
    counts: Mapping[str, Mapping[str, int]],
    training: Mapping[str, object],
    ranks: Ranks,
) -> None:
    """Writes and commits the export. Every rank must call it; the first one has opened the build, and writes.

    tokenizer: the folder whose tokenizer files go along. training: what the export shall say of the run. Raises
    ValueError when the folder has no tokenizer.json.
    """
    weights = parallel.full_state(model)
    if opened:
        build = opened.build
        scratch = Path(build.scratch)
        scratch.mkdir(parents=True, exist_ok=True)
        # a tied weight is stored once; gathered copies no longer show that they are one
        tied = {f"hf.{name}" for name in model.hf.all_tied_weights_keys}
        state = {name.removeprefix("hf."): tensor for name, tensor in weights.items() if name not in tied}
        model.hf.save_pretrained(scratch, state_dict=state)
        for name in _TOKENIZER_FILES:
            source = places.join(tokenizer, name)
            if places.exists(source):
                (scratch / name).write_bytes(places.read_bytes(source))
        if not (scratch / "tokenizer.json").is_file():
            raise ValueError(f"the tokenizer folder {tokenizer} has no tokenizer.json; name one that has")
        (scratch / _TRAINING).write_text(json.dumps(training, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        written = sorted(path.name for path in scratch.iterdir())
        for name in written:
            build.adopt(str(scratch / name), name)
        opened.commit(written, counts)
    ranks.wait()
