"""The benchmarks' own tools: generated input is repeatable and sound, planted similarity is true, runs alternate."""

from __future__ import annotations

import json
import pickle
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from benchmarks import dedup, generate, languages, near_duplicates_at_scale, planted, stages
from benchmarks.harness import PREFIX, Contender, alternate, comparison, run_once
from benchmarks.sampler import sampled

NUMBERS = " ".join(f"number{number}" for number in range(30))

needs_dump = pytest.mark.skipif(
    not (generate.SHARED.is_dir() or generate.SAMPLE.is_dir()),
    reason="neither ../shared/data nor examples/forum is here",
)


@needs_dump
def test_generated_dump_is_repeatable_and_sound(tmp_path: Path) -> None:
    size = 3 * max(file.stat().st_size for file in generate.source_files())
    rows = [generate.enlarge(tmp_path / name, size) for name in ("one.xml", "two.xml")]
    assert (tmp_path / "one.xml").read_bytes() == (tmp_path / "two.xml").read_bytes()
    posts = ElementTree.parse(tmp_path / "one.xml").getroot()
    assert rows == [len(posts)] * 2
    assert len({post.attrib["Id"] for post in posts}) == len(posts)
    assert (tmp_path / "one.xml").stat().st_size >= size


@needs_dump
def test_copies_are_no_near_duplicates_and_twins_are(shared_data: Path) -> None:
    found, twins = planted.documents(2_000_000)
    texts = dict(found)
    assert len(texts) == len(found)
    for twin in twins[:50]:
        assert twin.jaccard == planted.jaccard(texts[twin.original], texts[twin.twin])
    similar = []
    for doc_id, text in found:
        number = doc_id.rsplit(":", 1)[1]
        copy = texts.get(f"bench:post:{int(number) + generate.ID_STEP:012d}") if number.isdigit() else None
        if copy and len(planted.shingle_set(text)) > 50:
            similar.append(planted.jaccard(text, copy))
    assert len(similar) > 50
    assert sum(value >= 0.5 for value in similar) <= 0.02 * len(similar)  # posts of little else than links


def test_jaccard_of_shingle_sets() -> None:
    assert planted.jaccard("a b c d e f", "a b c d e f") == 1.0
    assert planted.jaccard("a b c d e f", "a b c d e g") == pytest.approx(1 / 3)
    assert planted.jaccard("short", "short") == 1.0


def test_judge_counts_recall_and_precision() -> None:
    same = "one two three four five six"
    texts = [("a", same), ("a:twin", same), ("b", "seven eight nine ten eleven twelve")]
    twins = [planted.Planted("a", "a:twin", 1.0)]
    assert planted.judge(texts, twins, {"a:twin": "a"})[0] == "1.000 (1/1)"
    assert planted.judge(texts, twins, {"a:twin": "a"})[-1] == "1.0000 (1/1)"
    assert planted.judge(texts, twins, {"a": "b", "a:twin": "b"})[0] == "1.000 (1/1)"  # found, though wrongly kept
    assert planted.judge(texts, twins, {"a": "b", "a:twin": "b"})[-1] == "0.0000 (0/2)"
    assert planted.judge(texts, twins, {})[0] == "0.000 (0/1)"
    assert planted.judge(texts, twins, {"a": "b"})[0] == "0.000 (0/1)"
    assert planted.judge(texts, twins, {})[-1] == "–"
    with pytest.raises(ValueError, match="1 documents are removed for one that is not kept, such as a:twin"):
        planted.judge(texts, twins, {"a": "b", "a:twin": "a"})


@pytest.mark.parametrize(
    ("removed", "kept", "right"),
    [
        ("Thanks!", "thanks", True),
        ("Thanks a lot!", "Thanks, a lot", False),
        ("C++ is better than C#", "C is better than C", False),
        (f"{NUMBERS} x", NUMBERS, True),
        (f"{NUMBERS} but this says a good deal more than the other one does", NUMBERS, False),
        (NUMBERS, f"{NUMBERS} but this says a good deal more than the other one does", True),
        ("x = a + b * c " * 3, "x = a - b / c " * 3, False),
    ],
)
def test_a_removal_is_right_for_what_is_kept(removed: str, kept: str, right: bool) -> None:
    assert planted.is_right(removed, kept) == right


def test_planted_documents_are_deduplicated_and_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole of what `benchmarks.dedup` asks of us: a dataset of today's columns, a layer, removals of it."""
    other = "the doors of the hall are opened at eight and closed when the last guest has gone home at night"
    found = [("a", NUMBERS), ("a:twin", f"{NUMBERS} x"), ("b", other), ("c", "")]
    twins = [planted.Planted("a", "a:twin", planted.jaccard(NUMBERS, f"{NUMBERS} x"))]
    planted.write_jsonl(found, tmp_path / "documents.jsonl")
    planted.write_dataset(found, str(tmp_path / "documents"), num_shards=2)
    dedup.run_ours(tmp_path)
    figures = json.loads(capsys.readouterr().out.splitlines()[-1].removeprefix(PREFIX))
    assert figures["records"] == 4
    spent = figures["extra"]["stages"]
    assert min(spent[name] for name in ("compared", "signatures", "stars", "decide", "layer_of_shard")) > 0
    assert sum(spent.values()) < figures["cpu_s"]
    cells = planted.judge(found, twins, json.loads((tmp_path / "ours.json").read_text()))
    assert cells == ["–", "1.000 (1/1)", "–", "–", "–", "–", "1.0000 (1/1)"]


def spend(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def outer() -> None:
    spend(0.02)
    inner()


def inner() -> None:
    spend(0.1)


def test_a_clocked_function_is_not_charged_for_another() -> None:
    plain = outer
    with stages.clocked([(__name__, "outer"), (__name__, "inner")]) as seconds:
        pickle.loads(pickle.dumps(outer))()  # as Beam sends it
        outer()
    assert outer is plain
    assert 0.04 <= seconds["outer"] < 0.12
    assert seconds["inner"] >= 0.2


def test_contenders_take_turns(tmp_path: Path) -> None:
    log = tmp_path / "log"

    def contender(name: str, seconds: float) -> Contender:
        figures = {"wall_s": seconds, "cpu_s": seconds, "bytes": 1_000_000, "records": 10, "peak_mb": 1, "extra": {}}
        code = f"open({str(log)!r}, 'a').write({name!r}); print({PREFIX + json.dumps(figures)!r})"
        return Contender(name, [sys.executable, "-c", code])

    runs = alternate([contender("A", 1.0), contender("B", 4.0)], 2)
    assert log.read_text() == "ABAB"
    assert "| B | 4.00 (4.00–4.00) | 4.00 | 0.25 | 2 | 1 | 4.00 |" in comparison(runs, "A")


def test_a_failing_contender_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="broken failed with status 3"):
        run_once(Contender("broken", [sys.executable, "-c", "raise SystemExit(3)"]))


def test_the_sampler_sees_a_busy_thread() -> None:
    with sampled() as samples:
        while not samples.places:
            sum(range(10_000))
    assert samples.top(1)


@pytest.mark.parametrize("kind", ["bare", "detect", "layer", "annotate", "described"])
def test_every_contender_of_languages_handles_the_same_documents(
    kind: str, lid_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [("a", "The bread rises slowly."), ("b", "Das Brot geht langsam auf."), ("c", "12345")]
    planted.write_jsonl(found, tmp_path / "documents.jsonl")
    planted.write_dataset(found, str(tmp_path / "documents"), num_shards=2)
    arguments = ["--run", kind, "--folder", str(tmp_path), "--language-model", str(lid_model)]
    monkeypatch.setattr(sys, "argv", ["languages", *arguments])
    languages.main()
    figures = json.loads(capsys.readouterr().out.splitlines()[-1].removeprefix(PREFIX))
    assert figures["records"] == 3
    assert figures["bytes"] == sum(len(text.encode()) for _, text in found)


@pytest.mark.parametrize(("kind", "removed"), [("posts", 80), ("copies", 299)])
def test_what_is_removed_at_scale_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, kind: str, removed: int
) -> None:
    monkeypatch.setitem(near_duplicates_at_scale._SHARDS, kind, 4)
    near_duplicates_at_scale._write(kind, 400, tmp_path / "documents")
    near_duplicates_at_scale._run(kind, 400, tmp_path)
    figures = json.loads(capsys.readouterr().out.split(PREFIX)[-1])
    assert (figures["records"], figures["extra"]["removed"]) == (400, removed)
