"""Tokenizer: trains a SentencePiece model on a sample of the training documents, and writes it in both formats.

Not a Beam pipeline: training is one process, and the sample is small. The documents are read twice, batch by batch:
once to count the bytes of each language, once to draw the sample. Only documents of the train split that every layer
keeps are drawn from, so that no held-out text shapes the vocabulary; the validation split measures the result.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated

import pyarrow as pa
import pyarrow.compute as pc
import typer

from pipelines.command import Keep, Layers, Output, Replace, Trust, console, run_command
from pipelines.progress import progress, summary
from tokenizer import convert, metrics, spm
from tokenizer.chat import CONTROL_TOKENS
from tokenizer.encoder import CONFIG_FILE, TOKENIZER_FILE, Encoder
from tokenizer.languages import language
from tokenizer.sample import Reservoir, clip, sample_sizes
from transforms.datasets.align import check_rows_aligned
from transforms.datasets.building import Build
from transforms.datasets.dataset import Dataset
from transforms.datasets.ids import canonical_json, keyed_hash
from transforms.datasets.manifest import Manifest
from transforms.datasets.standing import Existing
from transforms.datasets.step import Step, Wanted, Whole, make_one
from transforms.datasets.texts import full_text
from transforms.io.shard import Shard
from transforms.layers.read import drop_reasons, find_layers, read_layers

STEP = Step("tokenizer", version=1, libraries=("sentencepiece", "tokenizers"))

MODEL_FILE = "tokenizer.model"
SPECIAL_TOKENS_FILE = "special_tokens_map.json"
CARD_FILE = "card.json"
FILES = (MODEL_FILE, TOKENIZER_FILE, CONFIG_FILE, SPECIAL_TOKENS_FILE, CARD_FILE)

LAYER_COLUMNS = {"language": ["language"], "duplicates": [], "split": ["split"]}
TRAIN, VALIDATION = "train", "validation"
_FEWEST_PIECES = 1 + len(CONTROL_TOKENS) + 256  # <unk>, control tokens, bytes


@dataclass(frozen=True)
class TokenizerSettings:
    """What decides a tokenizer, beside the documents."""

    vocab_size: int = 32_000  # everything included: control tokens, bytes, characters, merged pieces
    alpha: float = 0.3  # a language with n bytes is sampled in proportion to n^alpha
    sample_bytes: int = 64 << 20  # of all languages together; bounds memory
    document_bytes: int = 1 << 16  # the most one document gives to the sample
    validation_bytes: int = 100_000  # of each language, to measure the tokenizer on
    character_coverage: float = 0.9995  # share of the sample's characters with a piece; rarer ones become bytes

    def __post_init__(self) -> None:
        if self.vocab_size <= _FEWEST_PIECES:
            raise ValueError(
                f"vocab_size must be more than {_FEWEST_PIECES}, the bytes and control tokens; got {self.vocab_size}"
            )
        if not 0.0 <= self.alpha <= 1.0:
            raise ValueError(f"alpha must be from 0 (every language alike) to 1 (as they come); got {self.alpha}")
        if not 0.9 <= self.character_coverage <= 1.0:
            raise ValueError(f"character_coverage must be from 0.9 to 1; got {self.character_coverage}")
        for name in ("sample_bytes", "document_bytes", "validation_bytes"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive; got {getattr(self, name)}")


Group = tuple[str, str]  # split, language code


@dataclass(frozen=True)
class Sources:
    """The documents, and their layers by name."""

    documents: Dataset
    layers: Mapping[str, Dataset]


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
    sources = Sources(source, beside.layers)

    def train(build: Build) -> Whole:
        return Whole(counts=write(build, draw(sources, settings), settings))

    spec = STEP.spec(asdict(settings), {"documents": source.digest, **beside.parents})
    return make_one(Wanted(output, spec, FILES, [documents, *beside.places]), existing, train)


def draw(sources: Sources, settings: TokenizerSettings) -> dict[Group, Reservoir]:
    """The sample of each language: of the train split by alpha, of the validation split up to a fixed size."""
    available = count_bytes(sources, settings.document_bytes)
    train = {code: size for (split, code), size in available.items() if split == TRAIN}
    quota = {(TRAIN, code): size for code, size in sample_sizes(train, settings.sample_bytes, settings.alpha).items()}
    quota |= {group: settings.validation_bytes for group in available if group[0] == VALIDATION}
    samples = {group: Reservoir(size) for group, size in sorted(quota.items())}
    for batch, groups in grouped_batches(sources, ("doc_id", "title", "text")):
        ids, titles, texts = (batch.column(name) for name in ("doc_id", "title", "text"))
        for row, group in enumerate(groups):
            if group is None:
                continue
            doc_id = ids[row].as_py()
            key = keyed_hash("tokenizer-sample", doc_id)
            if samples[group].wants(key):
                text = full_text(titles[row].as_py(), texts[row].as_py())
                samples[group].add(key, doc_id, clip(text, settings.document_bytes))
    return samples


def count_bytes(sources: Sources, document_bytes: int) -> dict[Group, int]:
    """UTF-8 bytes of each group's documents, no document counted for more than `document_bytes`."""
    totals: dict[Group, int] = {}
    for batch, groups in grouped_batches(sources, ("title", "text")):
        title_bytes = pc.fill_null(pc.binary_length(batch.column("title")), 0)
        # a title stands above the body with an empty line between them: texts.full_text
        above = pc.if_else(pc.greater(title_bytes, 0), pc.add(title_bytes, 2), 0)
        sizes = pc.min_element_wise(pc.add(above, pc.binary_length(batch.column("text"))), document_bytes).to_pylist()
        for group, size in zip(groups, sizes, strict=True):
            if group is not None:
                totals[group] = totals.get(group, 0) + size
    return totals


def grouped_batches(sources: Sources, columns: tuple[str, ...]) -> Iterator[tuple[pa.RecordBatch, list[Group | None]]]:
    """Batches of documents, with the group of each row: None for one that no sample may hold."""
    for path in sources.documents.paths:
        shard = Shard(path, sources.documents, sources.layers)
        layers = read_layers(shard, LAYER_COLUMNS)
        check_rows_aligned(shard.read(["doc_id"]), layers)
        groups = row_groups(layers)
        start = 0
        for batch in shard.batches(columns):
            yield batch, groups[start : start + batch.num_rows]
            start += batch.num_rows


def row_groups(layers: Mapping[str, pa.Table]) -> list[Group | None]:
    """The (split, language) of each row of aligned layer tables; None when a layer drops it or it is held out."""
    codes = layers["language"].column("language").to_pylist()
    splits = layers["split"].column("split").to_pylist()
    kept = pc.is_null(drop_reasons(layers)).to_pylist()
    return [
        (split, code) if keep and code is not None and split in (TRAIN, VALIDATION) else None
        for split, code, keep in zip(splits, codes, kept, strict=True)
    ]


def write(build: Build, samples: Mapping[Group, Reservoir], settings: TokenizerSettings) -> dict[str, dict[str, int]]:
    """Trains, checks that both formats agree, measures, writes every file. Returns the manifest's counts."""
    mix = {code: sample for (split, code), sample in samples.items() if split == TRAIN}
    validation = {code: sample.texts() for (split, code), sample in samples.items() if split == VALIDATION}
    lines = (line for sample in mix.values() for text in sample.texts() for line in spm.training_lines(text))
    model = spm.train(lines, settings.vocab_size, settings.character_coverage)
    pieces = spm.read_pieces(model)
    content = {
        MODEL_FILE: model,
        TOKENIZER_FILE: convert.tokenizer_json(pieces),
        CONFIG_FILE: convert.tokenizer_config(pieces),
        SPECIAL_TOKENS_FILE: convert.special_tokens_map(),
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
        "validation": {code: measure(code, group, encoder).to_dict() for code, group in validation.items()},
        "texts_with_ids_equal_to_sentencepiece": compared,
    }
    pretty = json.dumps(json.loads(canonical_json(card)), indent=1, ensure_ascii=False) + "\n"
    build.write_file(CARD_FILE, pretty.encode())
    return counts


def measure(code: str, texts: list[str], encoder: Encoder) -> metrics.Fit:
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
    with progress(console, "tokenizer", output):
        manifest = run(documents, layers, output, settings, Existing.of(replace, keep))
    console.print(f"tokenizer: {summary(manifest)}", soft_wrap=True)


if __name__ == "__main__":
    run_command(command)
