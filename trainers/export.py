"""A trained model as a dataset of kind "model": a Hugging Face folder with a manifest.

Plain `transformers` loads it without our code: safetensors, config.json, and tokenizer files that say what the model
was trained with. The manifest's settings are the run's identity and its parents are the data, tokenizer and model it
came from, so a finished run is not run again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError

from tokenizer import exported
from tokenizer.encoder import Encoder
from trainers import card, parallel
from trainers.card import Trained
from trainers.model import LanguageModel, RewardModel
from trainers.parallel import Ranks
from transforms.datasets.opening import Opened

FOLDER = "export"
_CARD = "README.md"
_TRAINING = "training.json"  # how the run went: which step this is, and its validation


def write(
    opened: Opened | None,
    model: LanguageModel | RewardModel,
    encoder: Encoder,
    trained: Trained,
    training: Mapping[str, object],
    ranks: Ranks,
) -> None:
    """Writes and commits the export. Every rank must call it; the first one has opened the build, and writes.

    training: what the export shall say of the run. Raises ValueError when another tokenizer stands at the encoder's
    place by now, and OSError, which names the folder, when it cannot be written; the run's checkpoints stay.
    """
    weights = parallel.full_state(model)
    if opened:
        build = opened.build
        scratch = Path(build.scratch)
        length = trained.sequence_tokens or model.hf.config.max_position_embeddings
        files = exported.files(encoder, length, conversations=isinstance(model, RewardModel))
        if isinstance(model, LanguageModel):  # it may be that of the model that this one started from
            ids = {"pad_token_id": encoder.pad, "eos_token_id": encoder.end_of_text, "bos_token_id": None}
            model.hf.generation_config.update(**ids)
        # a tied weight is stored once; gathered copies no longer show that they are one
        tied = {f"hf.{name}" for name in model.hf.all_tied_weights_keys}
        state = {name.removeprefix("hf."): tensor for name, tensor in weights.items() if name not in tied}
        try:
            scratch.mkdir(parents=True, exist_ok=True)
            model.hf.save_pretrained(scratch, state_dict=state)
            account = json.dumps(training, indent=1, sort_keys=True) + "\n"
            told = {_CARD: card.write(trained, length).encode(), _TRAINING: account.encode()}
            for name, content in {**files, **told}.items():
                (scratch / name).write_bytes(content)
            written = sorted(path.name for path in scratch.iterdir())
            for name in written:
                build.adopt(str(scratch / name), name)
        except (OSError, SafetensorError) as error:  # the latter stands for the former
            raise OSError(
                f"the model could not be written to {scratch}: {error}; make room there and run the same command again"
            ) from error
        opened.commit(written, trained.counts)
    ranks.wait()
