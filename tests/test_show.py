"""Rows are shown as they are, dropped ones too; nothing in them steers a terminal; lists say what is there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import shipped, show
from pipelines.curriculum import RECIPES
from pipelines.pairs import RULES
from pipelines.show import Chosen, find_rows, lines_of
from tests.conftest import ROOT
from tests.small_build import whole_build
from tests.small_dataset import dataset_of, read_file
from tokenizer.languages import LANGUAGES
from transforms.datasets.manifest import DatasetSpec, load_manifest
from transforms.datasets.schema import DOCUMENTS, REJECTS
from transforms.sources.kinds import SOURCES

HOSTILE = "\x1b[2J\u202e\x00"


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("show") / "build"
    whole_build(folder)
    return folder


def rows(place: Path, *chosen: Any, **more: Any) -> list[dict[str, Any]]:
    return [dict(row) for _, row in find_rows(str(place), Chosen(*chosen, **more))]


def everything(place: Path) -> list[dict[str, Any]]:
    return [row for file in load_manifest(str(place)).data_files for row in read_file(place, file.path).to_pylist()]


@pytest.mark.parametrize("name", ["documents", "pairs", "preference", "tokens", "curriculum", "evaluation"])
def test_all_rows_of_any_kind_are_given_whole_and_in_order(name: str, build: Path) -> None:
    given = rows(build / name)
    assert given == everything(build / name) != []


@pytest.mark.parametrize("name", ["language", "duplicates", "split"])
def test_a_layer_s_rows_stand_with_the_texts_of_their_documents(name: str, build: Path) -> None:
    documents = everything(build / "documents")
    for row, layer_row, document in zip(
        rows(build / "layers" / name), everything(build / "layers" / name), documents, strict=True
    ):
        assert row == layer_row | {"title": document["title"], "text": document["text"]}


def test_a_layer_without_its_documents_is_shown_alone(build: Path, tmp_path: Path) -> None:
    place = tmp_path / "layers" / "split"
    (build / "layers" / "split").rename(place.parent.mkdir() or place)  # type: ignore[func-returns-value]
    try:
        assert rows(place) == everything(place)
        with_texts = list(find_rows(str(place), Chosen(), str(build / "documents")))
        assert with_texts[3][1]["text"] == "text 3"
        dataset_of(tmp_path / "documents", DatasetSpec("documents", {"other": 1}), {})
        with pytest.raises(ValueError, match=r"does not describe the documents at .*, but others"):
            list(find_rows(str(place), Chosen(), str(tmp_path / "documents")))
        assert rows(place) == everything(place), "those that lie where a build has them are others"
    finally:
        place.rename(build / "layers" / "split")
    with pytest.raises(ValueError, match=r"--documents is for layers, and .* is a pairs dataset"):
        list(find_rows(str(build / "pairs"), Chosen(), str(build / "documents")))


def test_dropped_rows_of_a_layer(build: Path) -> None:
    (row,) = rows(build / "layers" / "duplicates", "duplicate")
    assert (row["doc_id"], row["keep"], row["reason"]) == ("0", False, "duplicate")


def test_rejects_are_shown_by_their_reason(tmp_path: Path) -> None:
    tables = {
        "data/00000-of-00001.arrow": pa.Table.from_pylist([], schema=DOCUMENTS),
        "rejects/00000-of-00001.arrow": pa.Table.from_pylist(
            [
                {"file": "Posts.xml", "offset": n, "record_id": None, "reason": reason, "detail": HOSTILE}
                for n, reason in enumerate(["orphan", "empty", "orphan"])
            ],
            schema=REJECTS,
        ),
    }
    counts = {"drop": {"orphan": 2, "empty": 1}}
    dataset_of(tmp_path, DatasetSpec("documents", {}), tables, None, counts)
    assert [row["offset"] for row in rows(tmp_path, "orphan")] == [0, 2]
    with pytest.raises(ValueError, match=r"dropped for 'ties'; one of empty \(1\), orphan \(2\)$"):
        rows(tmp_path, "ties")


@pytest.mark.parametrize(
    ("place", "chosen", "message"),
    [
        ("layers/duplicates", Chosen(reason="tie"), r"no rows that were dropped for 'tie'; one of duplicate \(1\)$"),
        ("layers/split", Chosen(reason="tie"), r"dropped for 'tie'; it dropped none$"),
        ("pairs", Chosen(reason="tie"), r"dropped for 'tie'; it only counts them: over-cap \(1\), tie \(2\)$"),
        ("pairs", Chosen(split="trian"), r"no split 'trian'; one of holdout, train, validation$"),
        ("tokens", Chosen(split="train"), r"no split 'train'; it is not split$"),
        ("pairs", Chosen(columns=["prompt", "text"]), r"no column 'text'; it has prompt, chosen, rejected, "),
        ("tokenizer", Chosen(), r"is a tokenizer dataset and holds no rows"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(place: str, chosen: Chosen, message: str, build: Path) -> None:
    with pytest.raises(ValueError, match=message):
        list(find_rows(str(build / place), chosen))


def test_splits_and_columns(build: Path) -> None:
    assert [row["pair_id"] for row in rows(build / "pairs", split="holdout", columns=["pair_id"])] == [
        "data/holdout-00000-of-00001.arrow:0"
    ]
    for split in ("train", "holdout"):
        wanted = [row["doc_id"] for row in everything(build / "layers/split") if row["split"] == split]
        assert [row["doc_id"] for row in rows(build / "layers" / "split", split=split)] == wanted


# ------------------------------------------------------------------------------------- as people read it


def test_a_row_as_people_read_it() -> None:
    row = {
        "id": "a:1",
        "text": "one\n\ntwo " + "x" * 500,
        "none": None,
        "empty": [],
        "tokens": list(range(30)),
        "prompt": [{"role": "user", "content": "why\nso"}, {"role": None}],
        "inner": {"a": 1.5, "b": None},
    }
    assert list(lines_of(row)) == [
        "id: a:1",
        "text: |",
        "  one",
        "  ",
        "  two " + "x" * 391 + " … (509 characters)",
        "tokens: [0, 1, 2, 3, 4, 5, 6, 7, … (30 in all)]",
        "prompt:",
        "  - role: user",
        "    content: |",
        "      why",
        "      so",
        "  - nothing",
        "inner:",
        "  a: 1.5",
    ]


SCALARS = st.none() | st.text() | st.integers()
VALUES = st.recursive(
    SCALARS | st.lists(SCALARS, max_size=12),
    lambda inner: st.lists(st.none() | st.dictionaries(st.text(min_size=1), inner, max_size=3), max_size=12),
    max_leaves=8,
)


@given(st.dictionaries(st.text(min_size=1), VALUES, max_size=4))
def test_no_row_steers_a_terminal_or_fills_it(row: dict[str, Any]) -> None:
    for line in lines_of(row):
        assert not re.search(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", line)


def test_the_command_shows_some_and_gives_machines_all(build: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show.command(str(build / "documents"), limit=2)
    out = capsys.readouterr().out
    assert re.findall(r"^# .*|^text: .*", out, re.MULTILINE) == [
        "# data/00000-of-00001.arrow",
        "text: text 0",
        "# data/00000-of-00001.arrow",
        "text: text 1",
    ]
    show.command(str(build / "documents"), limit=1000, as_json=True)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["text"] for line in lines] == [row["text"] for row in everything(build / "documents")]
    assert set(lines[0]) == set(DOCUMENTS.names)


def test_a_reader_that_has_seen_enough_ends_it_quietly(build: Path) -> None:
    command = f"{sys.executable} -m pipelines.cli show {build / 'documents'} --json | head -n 1"
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert json.loads(done.stdout)["text"] == "text 0"


# ------------------------------------------------------------------------------------- what is shipped


@pytest.mark.parametrize(
    ("command", "files"),
    [
        (shipped.rules, sorted(Path(RULES).glob("*.yaml"))),
        (shipped.recipes, sorted(Path(RECIPES).glob("*.yaml"))),
        (shipped.configs, sorted((ROOT / "trainers" / "configs").glob("*/*.yaml"))),
    ],
)
def test_every_file_that_is_shipped_is_listed_with_what_it_says_of_itself(
    command: Callable[[], None], files: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    command()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(files) > 0
    for line, file in zip(lines, files, strict=True):
        name, place, says = re.split(r" {2,}", line, maxsplit=2)
        assert name.split()[-1] == file.stem
        assert Path(place) == file
        assert file.read_text().startswith(f"# {says[:40]}")
        assert "\n" not in says


def test_every_source_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    shipped.sources()
    lines = [re.split(r" {2,}", line) for line in capsys.readouterr().out.splitlines()]
    assert [name for name, _, _ in lines] == list(SOURCES)
    assert all(Path(place).is_file() for _, place, _ in lines)


def test_every_language_is_listed_and_tags_choose(capsys: pytest.CaptureFixture[str]) -> None:
    shipped.languages()
    heads, *lines = (re.split(r" {2,}", line) for line in capsys.readouterr().out.splitlines())
    assert [line[0] for line in lines] == list(LANGUAGES)
    assert {len(line) for line in lines} == {len(heads)} == {8}
    shipped.languages(["pt-BR", "SWH_Latn"], as_json=True)
    chosen = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["code"] for row in chosen] == ["por_Latn", "swh_Latn"]
    assert chosen[1]["glotlid"] == ["swh_Latn", "swa_Latn"]
    with pytest.raises(ValueError, match="'zh' leaves open what is meant; it may be zho_Hans, zho_Hant"):
        shipped.languages(["zh"])
    shipped.languages(["swahili", "Egyptian Arabic", "Arabic (Tunisian)", "Cantonese"], as_json=True)
    chosen = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["code"] for row in chosen] == ["swh_Latn", "arz_Arab", "aeb_Arab", "yue_Hant"]
    with pytest.raises(ValueError, match=r"'Chinese' leaves open .* yue_Hant, zho_Hans, zho_Hant"):
        shipped.languages(["Chinese"])
    for tag in ("ar-QA", "!"):  # open though one row is near; no word at all
        with pytest.raises(ValueError, match=r"leaves open what is meant; it may be arb_Arab$|names no language"):
            shipped.languages([tag])
    with pytest.raises(ValueError, match="'gsw' names no language of the table; nearest: "):
        shipped.languages(["gsw"])


def test_long_texts_in_a_list_are_cut_as_well() -> None:
    (line,) = lines_of({"tags": ["x" * 1000, "y"]})
    assert line == f"tags: [{'x' * 400} … (1,000 characters), y]"
