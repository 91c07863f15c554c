"""What layers say together, and that they are beside the dataset they are read with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.forum import post, write_documents, write_layers
from transforms.datasets.dataset import Dataset
from transforms.datasets.fates import Reason
from transforms.datasets.manifest import load_manifest
from transforms.io.shard import Shard
from transforms.layers.read import drop_reasons, find_layers, read_layers, unpaired_reasons

LANGUAGE = st.sampled_from([None, "language-unsure", "language-unlisted"])
DUPLICATES = st.sampled_from([None, "duplicate", "near-duplicate"])
ALL = ["language", "duplicates", "split"]


def fates(reasons: list[str | None]) -> pa.Table:
    return pa.table(
        {"keep": pa.array([reason is None for reason in reasons], pa.bool_()), "reason": pa.array(reasons, pa.string())}
    )


@given(st.lists(st.tuples(LANGUAGE, DUPLICATES)))
def test_the_first_layer_that_drops_is_the_reason_whatever_the_order_of_the_mapping(
    rows: list[tuple[str | None, str | None]],
) -> None:
    layers = {"duplicates": fates([two for _, two in rows]), "language": fates([one for one, _ in rows])}
    layers["split"] = pa.table({"split": ["train"] * len(rows)})
    assert drop_reasons(layers).to_pylist() == [one or two for one, two in rows]
    against = [Reason.DUPLICATE_ANSWER.value if two else None for _, two in rows]
    assert unpaired_reasons(layers, pa.array([False] * len(rows), pa.bool_())).to_pylist() == against, (
        "an unsure language is paired all the same"
    )


def test_layers_without_a_keep_drop_nothing() -> None:
    layers = {"split": pa.table({"split": ["train", "holdout"]})}
    assert drop_reasons(layers).to_pylist() == [None, None]
    assert unpaired_reasons(layers, pa.array([True, False])).to_pylist() == [None, None]


def test_a_layer_says_whether_what_it_has_against_a_question_is_against_its_answers() -> None:
    layers = {
        "contamination": fates(["contaminated", None, "contaminated"]),
        "duplicates": fates([*["duplicate"] * 2, None]),
    }
    found = unpaired_reasons(layers, pa.array([True, True, False]))
    assert found.to_pylist() == ["contaminated", None, "contaminated"]


def test_a_drop_without_a_reason_is_not_taken_for_kept() -> None:
    broken = pa.table({"keep": [True, False], "reason": pa.nulls(2, pa.string())})
    with pytest.raises(ValueError, match="the duplicates layer drops a document without a reason"):
        drop_reasons({"duplicates": broken})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [post(number, "question", number, f"text {number}") for number in range(6)]
    write_documents(tmp_path / "documents", [rows[:4], rows[4:]])
    write_layers(tmp_path / "layers", tmp_path / "documents", duplicate_of={"test:00001": "test:00000"})
    return tmp_path


def test_layers_are_found_as_parents_and_read_by_column(folder: Path) -> None:
    documents = load_manifest(str(folder / "documents"))
    beside = find_layers(documents, str(folder / "layers"), ALL)
    assert beside.parents == {f"layers/{name}": load_manifest(str(folder / "layers" / name)).digest for name in ALL}
    shard = Shard(documents.data_files[0].path, Dataset.open(str(folder / "documents")), beside.layers)
    tables = read_layers(shard, {"language": ["language"], "split": ["split"]})
    assert {name: table.column_names for name, table in tables.items()} == {
        "language": ["doc_id", "language", "keep", "reason"],
        "duplicates": ["doc_id", "keep", "reason"],
        "split": ["doc_id", "split"],
    }
    assert drop_reasons(tables).to_pylist() == [None, "near-duplicate", None, None]


def test_others_are_found_only_when_asked(folder: Path) -> None:
    documents = load_manifest(str(folder / "documents"))
    assert list(find_layers(documents, str(folder / "layers"), ["language"]).layers) == ALL
    assert list(find_layers(documents, str(folder / "layers"), ["language"], others=False).layers) == ["language"]


def test_a_missing_layer_and_one_of_other_documents_are_refused_by_name(folder: Path, tmp_path: Path) -> None:
    def find(documents: str, layers: str) -> Any:
        return find_layers(load_manifest(str(folder / documents)), str(folder / layers), ALL)

    with pytest.raises(ValueError, match=r"no language layer at .*; make it with agora annotate --layers language,"):
        find("documents", "nowhere")
    write_documents(folder / "other", [[post(number, "question", number, "x") for number in range(5)]])
    with pytest.raises(ValueError, match="the language layer does not describe these documents"):
        find("other", "layers")


def test_a_layer_that_is_not_whole_is_not_passed_over(tmp_path: Path) -> None:
    write_documents(tmp_path / "documents", [[post(1, "question", 1, "a")]])
    write_layers(tmp_path / "layers", tmp_path / "documents")
    (tmp_path / "layers" / "quality" / "data").mkdir(parents=True)
    (tmp_path / "layers" / "quality" / "data" / "0.arrow").write_bytes(b"x")
    documents = load_manifest(str(tmp_path / "documents"))
    with pytest.raises(ValueError, match=r"the quality layer at .* has no manifest: it is not whole"):
        find_layers(documents, str(tmp_path / "layers"), ["language"])
    assert list(find_layers(documents, str(tmp_path / "layers"), ["language"], others=False).layers) == ["language"]
