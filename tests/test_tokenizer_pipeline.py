"""The tokenizer dataset: which documents it is trained on, that it repeats, and what stands in it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import tokenizer as pipeline
from pipelines.tokenizer import TokenizerSettings
from tests.small_dataset import dataset_of
from tests.small_tokenizer import TEXTS
from tokenizer import metrics
from tokenizer.encoder import Encoder
from tokenizer.sample import Reservoir, clip, sample_sizes
from transforms.datasets.dataset import Dataset
from transforms.datasets.manifest import DatasetSpec
from transforms.datasets.schema import DOCUMENTS
from transforms.datasets.standing import Existing
from transforms.datasets.texts import full_text
from transforms.datasets.verify import find_problems
from transforms.dedup.spec import SCHEMA as DUPLICATES
from transforms.io.shard import Shard
from transforms.layers.language import SCHEMA as LANGUAGE
from transforms.layers.split import SCHEMA as SPLIT
from transforms.tokens.sample import TRAIN, count_bytes

SETTINGS = TokenizerSettings(vocab_size=420, sample_bytes=20_000, document_bytes=2_000, validation_bytes=1_500)


@dataclass(frozen=True)
class Row:
    doc_id: str
    text: str
    language: str | None = "eng_Latn"
    split: str = "train"
    keep: bool = True  # of the language layer
    unique: bool = True  # keep of the duplicates layer
    title: str | None = None

    @property
    def unsure(self) -> str | None:
        return None if self.keep else "language-unsure"

    @property
    def copied(self) -> str | None:
        return None if self.unique else "duplicate"


def _rows() -> list[Row]:
    """Two languages, and documents that must not be looked at: each of these holds letters that no other text has."""
    rows = [
        Row(f"e{index:03}", f"{TEXTS[0]} Number {index}.", title="On bread" if index % 3 else None)
        for index in range(60)
    ]
    rows += [Row(f"f{index:03}", f"{TEXTS[1]} Fin {index}.", "fra_Latn") for index in range(12)]
    rows += [Row(f"v{index:03}", f"{TEXTS[0]} Again {index}.", split="validation") for index in range(20)]
    rows += [Row(f"h{index}", "ΩΩΩ ΩΩΩ " * 20, split="holdout") for index in range(5)]
    rows += [Row(f"x{index}", "ЖЖЖ ЖЖЖ " * 20, keep=False) for index in range(5)]
    rows += [Row(f"y{index}", "ששש ששש " * 20, unique=False) for index in range(5)]
    rows += [Row(f"z{index}", "กกก กกก " * 20, language=None) for index in range(5)]
    return rows


FORBIDDEN = "ΩЖשก"


def _write(folder: Path, rows: Iterable[Row], num_shards: int) -> tuple[str, str]:
    """Documents and their three layers, with rows dealt to shards by their place."""
    dealt = [list(rows)[index::num_shards] for index in range(num_shards)]
    names = [f"data/{index:05}-of-{num_shards:05}.arrow" for index in range(num_shards)]

    def dataset(place: str, kind: str, schema: pa.Schema, columns: dict[str, str]) -> str:
        spec = DatasetSpec(kind, {"made": "here"})
        tables = [
            pa.table({field.name: _column(field, part, columns) for field in schema}, schema=schema) for part in dealt
        ]
        dataset_of(place, spec, dict(zip(names, tables, strict=True)))
        return place

    documents = dataset(str(folder / "documents"), "documents", DOCUMENTS, {"title": "title", "text": "text"})
    layers = folder / "layers"
    dataset(
        str(layers / "language"), "language", LANGUAGE, {"language": "language", "keep": "keep", "reason": "unsure"}
    )
    dataset(str(layers / "duplicates"), "duplicates", DUPLICATES, {"keep": "unique", "reason": "copied"})
    dataset(str(layers / "split"), "split", SPLIT, {"split": "split"})
    return documents, str(layers)


def _column(field: pa.Field, rows: list[Row], columns: dict[str, str]) -> pa.Array:
    if field.name in columns or field.name == "doc_id":
        return pa.array([getattr(row, columns.get(field.name, "doc_id")) for row in rows], field.type)
    if field.nullable:
        return pa.nulls(len(rows), field.type)
    fillers = ((pa.types.is_list, []), (pa.types.is_string, "x"), (pa.types.is_boolean, False))
    filler = next((filler for is_type, filler in fillers if is_type(field.type)), 1)
    return pa.array([filler] * len(rows), field.type)


def _files(place: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(place).iterdir() if path.name != "run.json"}


def test_bytes_are_counted_as_the_texts_are_read(tmp_path: Path) -> None:
    """With the title above the text, without one for posts that have none, and no document for more than the most."""
    rows = [
        Row("a", "untitled"),
        Row("b", "körper", title="Ä"),
        Row("c", "empty", title=""),
        Row("d", "x" * 50, title="T"),
    ]
    documents, layers = _write(tmp_path, rows, 1)
    beside = {name: Dataset.open(f"{layers}/{name}") for name in pipeline.LAYER_COLUMNS}
    dataset = Dataset.open(documents)
    sources = [Shard(path, dataset, beside) for path in dataset.paths]
    sizes = [len(full_text(row.title, row.text).encode()) for row in rows]
    assert sizes == [8, 11, 5, 53]
    for most in (10, 1_000):
        wanted = sum(min(size, most) for size in sizes)
        assert count_bytes(sources, most) == {(TRAIN, "eng_Latn"): wanted}


def test_trains_on_kept_training_documents_only(tmp_path: Path) -> None:
    documents, layers = _write(tmp_path, _rows(), 3)
    manifest = pipeline.run(documents, layers, str(tmp_path / "out"), SETTINGS)
    assert find_problems(str(tmp_path / "out")) == []
    assert [file.path for file in manifest.files] == sorted(pipeline.FILES)
    assert manifest.counts["sample_documents"] == {"eng_Latn": 60, "fra_Latn": 12}
    expected = sum(len(row.text.encode()) for row in _rows() if row.language == "fra_Latn")
    assert manifest.counts["sample_bytes"]["fra_Latn"] == expected
    vocabulary = json.loads((tmp_path / "out" / "tokenizer.json").read_bytes())["model"]["vocab"]
    assert not set(FORBIDDEN) & set("".join(vocabulary))
    assert "é" in vocabulary
    encoder = Encoder.load(str(tmp_path / "out"))
    assert encoder.vocab_size == SETTINGS.vocab_size
    assert encoder.decode(encoder.encode_batch([FORBIDDEN])[0]) == FORBIDDEN


def test_card_measures_the_validation_split(tmp_path: Path) -> None:
    documents, layers = _write(tmp_path, _rows(), 2)
    pipeline.run(documents, layers, str(tmp_path / "out"), SETTINGS)
    card = json.loads((tmp_path / "out" / "card.json").read_text(encoding="utf-8"))
    assert card["control_tokens"] == {"<|endoftext|>": 1, "<|im_start|>": 2, "<|im_end|>": 3, "<|pad|>": 4}
    assert list(card["validation"]) == ["eng_Latn"]
    fit = card["validation"]["eng_Latn"]
    assert SETTINGS.validation_bytes <= fit["bytes"] < SETTINGS.validation_bytes + 200
    assert fit["round_trip_rate"] == 1.0
    assert fit["bytes_per_token"] == round(fit["bytes"] / fit["tokens"], 4) > 1.5
    assert card["texts_with_ids_equal_to_sentencepiece"] >= fit["texts"]


def test_same_documents_in_other_shards_give_the_same_model(tmp_path: Path) -> None:
    small = TokenizerSettings(vocab_size=330, sample_bytes=3_000, document_bytes=2_000, validation_bytes=1_500)
    models = []
    for index, (rows, num_shards) in enumerate([(_rows(), 1), (_rows(), 1), (_rows()[::-1], 4)]):
        documents, layers = _write(tmp_path / str(index), rows, num_shards)
        pipeline.run(documents, layers, str(tmp_path / str(index) / "out"), small)
        models.append(_files(str(tmp_path / str(index) / "out")))
    assert models[0] == models[1]
    for name in pipeline.FILES:
        assert models[0][name] == models[2][name], name


def test_a_second_run_does_nothing_and_other_settings_are_refused(tmp_path: Path) -> None:
    documents, layers = _write(tmp_path, _rows(), 2)
    out = str(tmp_path / "out")
    first = pipeline.run(documents, layers, out, SETTINGS)
    times = {path: path.stat().st_mtime_ns for path in Path(out).iterdir()}
    assert pipeline.run(documents, layers, out, SETTINGS) == first
    assert times == {path: path.stat().st_mtime_ns for path in Path(out).iterdir()}
    other = TokenizerSettings(vocab_size=400, sample_bytes=20_000)
    with pytest.raises(ValueError, match="vocab_size"):
        pipeline.run(documents, layers, out, other)
    assert pipeline.run(documents, layers, out, other, existing=Existing.REPLACE).settings["vocab_size"] == 400


def test_too_little_text_is_an_error_and_leaves_no_dataset(tmp_path: Path) -> None:
    documents, layers = _write(tmp_path, _rows(), 2)
    with pytest.raises(ValueError, match="the largest possible is"):
        pipeline.run(documents, layers, str(tmp_path / "out"), TokenizerSettings(vocab_size=30_000))
    assert not (tmp_path / "out" / "manifest.json").exists()
    only_holdout = [row for row in _rows() if row.split == "holdout"]
    documents, layers = _write(tmp_path / "holdout", only_holdout, 1)
    with pytest.raises(ValueError, match="no kept document is in the train split"):
        pipeline.run(documents, layers, str(tmp_path / "holdout" / "out"), SETTINGS)


def test_layers_of_other_documents_are_refused(tmp_path: Path) -> None:
    documents, _ = _write(tmp_path / "a", _rows(), 2)
    _, layers = _write(tmp_path / "b", _rows()[:-1], 2)
    with pytest.raises(ValueError, match="does not describe these documents"):
        pipeline.run(documents, layers, str(tmp_path / "out"), SETTINGS)


@pytest.mark.parametrize(
    "wrong",
    [{"vocab_size": 261}, {"alpha": 1.5}, {"character_coverage": 0.5}, {"sample_bytes": 0}, {"document_bytes": 0}],
)
def test_bad_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TokenizerSettings(**wrong)  # type: ignore[arg-type]


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 10**12), min_size=1),
    st.integers(1, 10**12),
    st.floats(0, 1),
)
def test_allocation_never_exceeds_what_there_is(available: dict[str, int], budget: int, alpha: float) -> None:
    if not any(available.values()):
        with pytest.raises(ValueError, match="no text"):
            sample_sizes(available, budget, alpha)
        return
    quota = sample_sizes(available, budget, alpha)
    assert set(quota) == {code for code, size in available.items() if size}
    assert all(0 <= size <= available[code] for code, size in quota.items())
    assert sum(quota.values()) <= budget * (1 + 1e-12)
    assert sum(quota.values()) >= min(budget, sum(available.values())) * (1 - 1e-9) - len(quota)


def test_allocation_by_alpha() -> None:
    available = {"big": 1_000_000, "small": 10_000}
    quota = sample_sizes(available, 1_000, 0.3)
    assert quota["big"] / quota["small"] == pytest.approx(100**0.3, rel=0.01)
    assert sample_sizes(available, 500_000, 0.0) == {"small": 10_000, "big": 490_000}


@given(st.lists(st.integers(0, 30), unique=True, max_size=20), st.integers(0, 60), st.randoms(use_true_random=False))
def test_reservoir_holds_the_smallest_keys_in_any_order(keys: list[int], quota: int, shuffle) -> None:
    expected: list[str] = []
    for key in sorted(keys):
        if sum(map(len, expected)) < quota:
            expected.append("x" * (key % 7 + 1))
    shuffle.shuffle(keys)
    reservoir = Reservoir(quota)
    for key in keys:
        reservoir.add(key, str(key), "x" * (key % 7 + 1))
    assert reservoir.texts() == expected
    assert (len(reservoir), reservoir.num_bytes) == (len(expected), sum(map(len, expected)))


def test_clip_cuts_between_characters() -> None:
    assert [clip("aé冰", size) for size in range(7)] == ["", "a", "a", "aé", "aé", "aé", "aé冰"]


def test_metrics_are_counted_exactly() -> None:
    fit = metrics.fit(["ab cd  e", "冰箱 x"], [[1, 2, 3], [4]], ["ab cd  e", "?"], "space")
    assert (fit.texts, fit.bytes, fit.words, fit.tokens, fit.round_trips) == (2, 16, 5, 4, 1)
    assert (fit.bytes_per_token, fit.fertility, fit.round_trip_rate) == (4.0, 0.8, 0.5)
    assert metrics.count_words("冰箱 x\n", "char") == 3
    assert metrics.fit([], [], [], "space").bytes_per_token == 0.0
    with pytest.raises(ValueError, match="zip"):
        metrics.fit(["a"], [], [], "space")
