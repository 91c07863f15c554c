"""What every step makes of the fixed input is what its golden says, and the rule that holds goldens to versions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from tests import golden_forum, goldens, regold
from tests.conftest import ROOT
from tests.forum import post, write_documents
from tests.goldens import Golden
from tests.small_dataset import dataset_of
from transforms.datasets.manifest import DatasetSpec
from transforms.layers.split import SCHEMA as SPLIT

TOKENS = Golden(1, 9, {"documents": "d1", "settings.vocab_size": 700}, {"column tokens": "t1", "counts": "c1"})
PAIRS = Golden(4, 5, {"documents": "d1"}, {"column margin": "m1"})


def changed(golden: Golden, **parts: str) -> Golden:
    return replace(golden, content={**golden.content, **parts})


def test_every_step_makes_what_its_golden_says(tmp_path: Path, lid_model: Path) -> None:
    found = golden_forum.build(tmp_path, lid_model)
    if lines := [problem.line for problem in goldens.problems(goldens.read(), found)]:
        pytest.fail("\n".join(lines), pytrace=False)


def test_every_step_has_something_to_do() -> None:
    assert [name for name, golden in goldens.read().items() if golden.rows < 50] == ["tokenizer"]  # it has no rows


def test_every_version_stands_where_the_advice_says() -> None:
    read = goldens.read()
    assert list(read) == list(goldens.STEPS)
    for name, place in goldens.STEPS.items():
        kind = name.rpartition("/")[2]
        stands = f'Step("{kind}", version={read[name].version}' in (ROOT / place).read_text("utf-8")
        assert stands, f"{place} has no Step {kind!r} of version {read[name].version}, as its golden: {goldens.REGOLD}"


# ------------------------------------------------------------------------------------- the rule, on made-up values


def test_content_that_changes_under_an_unchanged_version_is_refused_in_one_line_that_says_what_to_do() -> None:
    (problem,) = goldens.problems({"tokens": TOKENS}, {"tokens": changed(TOKENS, **{"column tokens": "t2"})})
    assert problem.refused
    assert problem.line == (
        "the content of tokens changed (column tokens) but its version is still 1: if that is meant, raise the version "
        "of its Step in pipelines/tokenize.py and run `python -m tests.regold`; else mend the change"
    )


@pytest.mark.parametrize("other", [{}, {"column tokens": "t2"}])
def test_a_raised_version_asks_for_new_goldens(other: dict[str, str]) -> None:
    (problem,) = goldens.problems({"tokens": TOKENS}, {"tokens": replace(changed(TOKENS, **other), version=2)})
    assert not problem.refused
    assert "raised from 1 to 2, its golden is old: run `python -m tests.regold`" in problem.line


def test_a_version_that_goes_back_is_refused() -> None:
    (problem,) = goldens.problems({"pairs": PAIRS}, {"pairs": replace(PAIRS, version=3)})
    assert problem.refused
    assert "went back from 4 to 3" in problem.line


def test_other_settings_and_other_parents_are_told_as_the_reason() -> None:
    other = replace(changed(TOKENS, counts="c2"), made_from={"documents": "d2", "settings.vocab_size": 800})
    (problem,) = goldens.problems({"tokens": TOKENS}, {"tokens": other})
    assert not problem.refused
    assert "made from changed (documents, settings.vocab_size)" in problem.line


def test_where_one_is_refused_those_that_only_follow_are_not_told() -> None:
    known = {"pairs": PAIRS, "tokens": TOKENS}
    follows = replace(changed(TOKENS, counts="c2"), made_from={"documents": "d2"})
    found = {"pairs": changed(PAIRS, **{"column margin": "m2"}), "tokens": follows}
    assert [problem.line.split(" (")[0] for problem in goldens.problems(known, found)] == [
        "the content of pairs changed"
    ]


def test_a_dataset_without_a_golden_and_a_golden_without_a_dataset_are_told() -> None:
    assert not goldens.problems({"pairs": PAIRS}, {"pairs": PAIRS})
    lines = [problem.line for problem in goldens.problems({"pairs": PAIRS}, {"tokens": TOKENS})]
    assert [line.split(":")[0] for line in lines] == ["there is no golden of tokens", "no step makes pairs any more"]


def test_new_goldens_are_refused_under_an_unchanged_version_and_nothing_is_written(tmp_path: Path) -> None:
    goldens.write({"pairs": PAIRS, "tokens": TOKENS}, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    raised = replace(changed(PAIRS, **{"column margin": "m2"}), version=5)
    with pytest.raises(ValueError, match="no golden was written:\nthe content of tokens changed"):
        goldens.write({"pairs": raised, "tokens": changed(TOKENS, counts="c2")}, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert len(goldens.write({"pairs": raised, "tokens": TOKENS}, tmp_path)) == 1
    assert goldens.read(tmp_path) == {"pairs": raised, "tokens": TOKENS}
    assert not goldens.write({"pairs": raised, "tokens": TOKENS}, tmp_path)


def test_regold_ends_with_an_error_when_it_refuses(
    tmp_path: Path, lid_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = {"pairs": PAIRS}
    monkeypatch.setattr(golden_forum, "build", lambda place, model: made)
    assert [regold.main(tmp_path), regold.main(tmp_path)] == [0, 0]
    assert "every golden stands as it was" in capsys.readouterr().out
    made["pairs"] = changed(PAIRS, **{"column margin": "m2"})
    assert regold.main(tmp_path) == 1
    assert "no golden was written:\nthe content of pairs changed" in capsys.readouterr().err
    assert goldens.read(tmp_path) == {"pairs": PAIRS}


# ------------------------------------------------------------------------------------- what a digest sees


def content_of(place: Path, *rows: str, **more: object) -> dict[str, str]:
    write_documents(place, [[post(index, "question", index, text, **more) for index, text in enumerate(rows)]])
    return goldens.content(place)


def test_a_digest_names_the_part_that_differs(tmp_path: Path) -> None:
    plain = content_of(tmp_path / "plain", "a", "b")
    assert content_of(tmp_path / "same", "a", "b") == plain
    for other, part in (
        (content_of(tmp_path / "text", "a", "c"), {"column text"}),
        (content_of(tmp_path / "score", "a", "b", score=1), {"column score"}),
        (content_of(tmp_path / "flags", "a", "b", flags=["x"]), {"column flags"}),
    ):
        assert {name for name in plain if plain[name] != other[name]} == part


def test_a_digest_sees_the_order_of_rows_and_where_shards_end_but_not_how_they_are_stored(tmp_path: Path) -> None:
    ids = ["a", "b", "c", "d"]

    def written(name: str, parts: list[list[str]], kind: str = "split", setting: int = 0) -> dict[str, str]:
        place, spec = tmp_path / name, DatasetSpec(kind, {"version": 1, "setting": setting})
        tables = [pa.table({"doc_id": part, "split": ["train"] * len(part)}, schema=SPLIT) for part in parts]
        paths = [f"data/{index:05d}-of-{len(parts):05d}.arrow" for index in range(len(parts))]
        dataset_of(place, spec, dict(zip(paths, tables, strict=True)))
        return goldens.content(place)

    whole = written("whole", [ids[:2], ids[2:]])
    assert written("other fingerprint", [ids[:2], ids[2:]], setting=1) == whole
    assert written("uncompressed", [ids[:2], ids[2:]], kind="tokens") == whole
    assert written("other order", [ids[1::-1], ids[2:]]) != whole
    moved = written("other shards", [ids[:1], ids[1:]])
    assert moved["layout"] != whole["layout"]


def test_the_fixed_input_has_something_to_do_for_every_source_and_table(tmp_path: Path) -> None:
    inputs = golden_forum.inputs(tmp_path / "dump")
    assert [place.site for place in inputs] == ["golden.example", None, None, "corpus", "corpus"]
    for table in ("Posts", "Votes", "Comments", "PostLinks"):
        assert (tmp_path / "dump" / "forum" / f"{table}.xml").read_text("utf-8-sig").count("<row ") >= 2
