"""Tokenizer: trains a SentencePiece model on a sample of the training documents, and writes it in both formats.

Not a Beam pipeline: training is one process, and the sample is small.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from pipelines.command import Keep, Layers, Output, Replace, Trust, console, run_command
from pipelines.progress import progress
from tokenizer import convert, metrics, spm
from tokenizer.chat import CONTROL_TOKENS
from tokenizer.encoder import CONFIG_FILE, TOKENIZER_FILE, Encoder
from tokenizer.languages import language
from tokenizer.sample import Reservoir
from transforms.datasets.building import Build
from transforms.datasets.dataset import Dataset
from transforms.datasets.ids import canonical_json
from transforms.datasets.manifest import Manifest
from transforms.datasets.settings import SettingError
from transforms.datasets.standing import Existing
from transforms.datasets.step import Step, Wanted, Whole, make_one
from transforms.io.shard import Shard
from transforms.layers.read import find_layers
from transforms.tokens.sample import LAYER_COLUMNS, TRAIN, VALIDATION, Group, draw_sample

_STEP = Step("tokenizer", version=1, libraries=("sentencepiece", "tokenizers"))

_MODEL_FILE = "tokenizer.model"
_SPECIAL_TOKENS_FILE = "special_tokens_map.json"
_CARD_FILE = "card.json"
FILES = (_MODEL_FILE, TOKENIZER_FILE, CONFIG_FILE, _SPECIAL_TOKENS_FILE, _CARD_FILE)

_FEWEST_PIECES = 1 + len(CONTROL_TOKENS) + 256  # <unk>, control tokens, bytes


@dataclass(frozen=True)
class TokenizerSettings:
    """What decides a tokenizer, beside the documents."""

    vocab_size: int = 32_000  # everything included: control tokens, bytes, characters, merged pieces
    alpha: float = 0.3  # a language with n bytes is sampled in proportion to n^alpha
    sample_bytes: int = 64 << 20  # of all languages together; bounds memory
    document_bytes: int = 1 << 16  # the most one document gives to the sample
    validation_bytes: int = 100_000  # of each language, to _measure the tokenizer on
    character_coverage: float = 0.9995  # share of the sample's characters with a piece; rarer ones become bytes

    def __post_init__(self) -> None:
        if self.vocab_size <= _FEWEST_PIECES:
            raise SettingError(
                "vocab_size", f"must be more than {_FEWEST_PIECES}, the bytes and control tokens; got {self.vocab_size}"
            )
        if not 0.0 <= self.alpha <= 1.0:
            raise SettingError("alpha", f"must be from 0 (every language alike) to 1 (as they come); got {self.alpha}")
        if not 0.9 <= self.character_coverage <= 1.0:
            raise SettingError("character_coverage", f"must be from 0.9 to 1; got {self.character_coverage}")
        for name in ("sample_bytes", "document_bytes", "validation_bytes"):
            if getattr(self, name) <= 0:
                raise SettingError(name, f"must be positive; got {getattr(self, name)}")


def run(
    documents: str,
    layers: str,
    output: str,
    settings: TokenizerSettings,
    existing: Existing = Existing.REFUSE,
) -> Manifest:
    """Trains a tokenizer and writes the dataset; does nothing when it is there.

    Raises ValueError when the layers do not describe the documents, or there is too little text for the vocabulary.
    """
    source = Dataset.open(documents, "documents")
    beside = find_layers(source.manifest, layers, needed=list(LAYER_COLUMNS))
    shards = [Shard(path, source, beside.layers) for path in source.paths]

    def train(build: Build) -> Whole:
        sample = draw_sample(
            shards, settings.sample_bytes, settings.alpha, settings.document_bytes, settings.validation_bytes
        )
        return Whole(counts=write(build, sample, settings))

    spec = _STEP.spec(asdict(settings), {"documents": source.digest, **beside.parents})
    return make_one(Wanted(output, spec, FILES, [documents, *beside.places]), existing, train)


def write(build: Build, samples: Mapping[Group, Reservoir], settings: TokenizerSettings) -> dict[str, dict[str, int]]:
    """Trains, checks that both formats agree, measures, writes every file. Returns the manifest's counts."""
    mix = {code: sample for (split, code), sample in samples.items() if split == TRAIN}
    validation = {code: sample.texts() for (split, code), sample in samples.items() if split == VALIDATION}
    lines = (line for sample in mix.values() for text in sample.texts() for line in spm.training_lines(text))
    model = spm.train(lines, settings.vocab_size, settings.character_coverage)
    pieces = spm.read_pieces(model)
    content = {
        _MODEL_FILE: model,
        TOKENIZER_FILE: convert.tokenizer_json(pieces),
        CONFIG_FILE: convert.tokenizer_config(pieces),
        _SPECIAL_TOKENS_FILE: convert.special_tokens_map(),
    }
    for name, data in content.items():
        build.write_file(name, data)
    encoder = Encoder.load(build.work)
    texts = convert.probes(pieces) + [text for group in validation.values() for text in group]
    compared = convert.check_equal(lambda batch: spm.encode(model, batch), encoder.encode_batch, texts)
    counts = {
        "sample_bytes": {code: sample.num_bytes for code, sample in mix.items()},
        "sample_documents": {code: len(sample) for code, sample in mix.items()},
        "compared": {"texts": compared},
    }
    card = {
        "settings": asdict(settings),
        "control_tokens": {token: encoder.special(token) for token in CONTROL_TOKENS},
        "sample": {code: {"documents": len(sample), "bytes": sample.num_bytes} for code, sample in mix.items()},
        "validation": {code: _measure(code, group, encoder).to_dict() for code, group in validation.items()},
        "texts_with_ids_equal_to_sentencepiece": compared,
    }
    pretty = json.dumps(json.loads(canonical_json(card)), indent=1, ensure_ascii=False) + "\n"
    build.write_file(_CARD_FILE, pretty.encode())
    return counts


def _measure(code: str, texts: list[str], encoder: Encoder) -> metrics.Fit:
    """How the tokenizer fits one language's held-out texts."""
    ids = encoder.encode_batch(texts)
    return metrics.fit(texts, ids, [encoder.decode(tokens) for tokens in ids], language(code).word_split)


def command(
    documents: Annotated[str, typer.Argument(metavar="DOCS", help="Folder of documents.")],
    layers: Layers,
    output: Output,
    vocab_size: Annotated[int, typer.Option(help="Entries, everything included.")] = TokenizerSettings.vocab_size,
    alpha: Annotated[
        float, typer.Option(help="A language of n bytes is sampled in proportion to n^alpha.")
    ] = TokenizerSettings.alpha,
    character_coverage: Annotated[
        float, typer.Option(help="Share of the sample's characters that get a piece.")
    ] = TokenizerSettings.character_coverage,
    sample_bytes: Annotated[int, typer.Option(help="Size of the sample.")] = TokenizerSettings.sample_bytes,
    replace: Replace = False,
    keep: Keep = False,
    trust: Trust = False,
) -> None:
    """Train a tokenizer on a per-language sample of the training documents."""
    settings = TokenizerSettings(
        vocab_size=vocab_size, alpha=alpha, character_coverage=character_coverage, sample_bytes=sample_bytes
    )
    with progress(console, "tokenizer", output) as runs:
        manifest = run(documents, layers, output, settings, Existing.of(replace, keep))
    console.print(f"tokenizer: {runs.told(output, manifest)}", soft_wrap=True)


if __name__ == "__main__":
    run_command(command)
