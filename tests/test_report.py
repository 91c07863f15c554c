"""The report: whole and partial builds, hostile text, and the page's own promises (one file, same bytes)."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pytest

from pipelines.report import page as report
from pipelines.report.charts import MAX_POINTS, Series, axis, line_chart, thinned
from pipelines.report.data import read_build
from pipelines.report.html import VOID, Column, escape, file_size, percent, table, tag
from tests.small_dataset import dataset_of
from transforms.datasets.manifest import DatasetSpec, Manifest
from transforms.datasets.places import write_atomically
from transforms.datasets.schema import SPLITS
from transforms.layers.kinds import LAYERS
from transforms.layers.split import SCHEMA as SPLIT

HOSTILE = '<script>alert("x")</script>\u202e&amp;\x00'
ESTIMATE = {"value": 0.75, "low": 0.7, "high": 0.8}
CHANCE = {"value": 0.5, "low": 0.5, "high": 0.5}


Counts = dict[str, dict[str, int]]


def dataset(place: Path, kind: str, counts: Counts, rows: dict[str, int], **spec: object) -> Manifest:
    """A dataset with shards of these rows and these counts."""
    settings = spec.get("settings", {"version": 1})
    parents, inputs = spec.get("parents", {}), spec.get("inputs", ())
    dataset_spec = DatasetSpec(kind, settings, parents, inputs)  # type: ignore[arg-type]
    tables = {}
    for path, number in rows.items():
        found = [{"doc_id": f"{path}:{row}", "split": "train"} for row in range(number)]
        tables[path] = pa.Table.from_pylist(found, schema=SPLIT)
    return dataset_of(place, dataset_spec, tables, counts=counts)


VOTES = {
    "name": "Votes.xml", "bytes": 99, "sha256": "cd" * 32, "source": "stackexchange", "site": "x", "rows": 9, "kept": 0,
    "dropped": {}, "used": {"up": 6, "accept": 1}, "unused": {"other-vote": 2}, "outcomes": {},
}  # fmt: skip


def corpus(folder: Path, name: str = "Posts.xml", language: str = "eng_Latn") -> Manifest:
    """Documents and layers: 12 rows in, 10 kept."""
    account = {"rows": 12, "kept": 10, "dropped": {"not-a-post": 2}, "outcomes": {"truncated-file": 1}}
    source = {"name": name, "bytes": 3456, "sha256": "ab" * 32, "source": "stackexchange", "site": "x"}
    found = dataset(
        folder / "documents",
        "documents",
        {"kind": {"question": 4, "answer": 6}, "accepted": {"answer": 3}},
        {"data/00000-of-00001.arrow": 10},
        inputs=[source | account, VOTES],
    )
    parents = {"documents": found.digest}
    layers = {
        "language": {"documents": {"in": 10, "kept": 9}, "drop": {"language-unsure": 1}, "language": {language: 9}},
        "duplicates": {"documents": {"in": 10, "kept": 9}, "drop": {"duplicate": 1}, "cluster_size": {"1": 8, "2": 1}},
        "split": {"documents": {"in": 10}, "split": {"train": 8, "validation": 1, "holdout": 1}},
    }
    anything = {"documents": {"in": 10, "kept": 10}}
    for layer, counts in (dict.fromkeys(LAYERS, anything) | layers).items():
        dataset(folder / "layers" / layer, layer, counts, {"data/00000-of-00001.arrow": 10}, parents=parents)
    return found


def whole_build(folder: Path) -> None:
    """Every step, with counts that add up."""
    documents = corpus(folder)
    parents = {"documents": documents.digest}
    pairs = {
        "candidates": {"kept": 7, "tie": 2, "over-cap": 1},
        "candidates_in": {"all": 10},
        "pairs_by_language": {"eng_Latn": 7},
        "threads": {"with-pairs": 3, "without-pairs": 1},
    }
    splits = {f"data/{split}-00000-of-00001.arrow": rows for split, rows in zip(SPLITS, (5, 1, 1), strict=True)}
    dataset(folder / "pairs", "pairs", pairs, splits, parents=parents, settings={"rule": {"name": "worldpm"}})
    settings = {"vocab_size": 512}
    dataset(folder / "tokenizer", "tokenizer", {"sample_bytes": {"eng_Latn": 999}}, {}, settings=settings)
    fit = {"bytes_per_token": 3.21, "fertility": 1.5, "word_split": "space", "round_trip_rate": 1.0}
    save(folder / "tokenizer/card.json", {"validation": {"eng_Latn": fit}})
    dataset(folder / "tokens", "tokens", {}, {"data/00000-of-00001.arrow": 10})
    mix = {"first/eng_Latn": 60, "first/fra_Latn": 40, "second/fra_Latn": 50}
    curriculum = {
        "planned_tokens": mix,
        "tokens": mix,
        "sequences": dict.fromkeys(mix, 2),
        "capacity_tokens": mix,
        "repeated_tokens": {"second/fra_Latn": 25},
        "documents": {"used": 8, "held-out": 2},
    }
    recipe = {"recipe": {"stages": [{"name": "first"}, {"name": "second"}]}}
    dataset(folder / "curriculum", "curriculum", curriculum, {"data/00000-of-00001.arrow": 6}, settings=recipe)
    train = [{"kind": "train", "step": n, "loss": 3 / n, "accuracy": 0.6, "tokens": 10, "pairs": 4} for n in (1, 2, 3)]
    seen = {"kind": "validation", "step": 3, "loss": 0.9, "accuracy": 0.7}
    for name in ("pretrain", "preference_model"):
        lines = "".join(json.dumps(row) + "\n" for row in [*train, seen]) + '{"kind": "tr'
        write_atomically(str(folder / name / "metrics.jsonl"), lines.encode())
        dataset(folder / name / "export", "model", {"cuts": {"prompts_cut": 2}}, {})
    dataset(folder / "evaluation", "evaluation", {}, {})
    part = {"pairs": 40, "groups": 9, "accuracy": ESTIMATE, "loss": ESTIMATE}
    evaluation = {
        "split": "holdout",
        **part,
        "baselines": {"longer": {"accuracy": CHANCE, "difference": ESTIMATE}},
        "by_language": {"eng_Latn": part, "fra_Latn": part | {"pairs": 3}},
        "by_margin": {"11+": part, "3-5": part},
        "by_length": {"chosen longer": part},
    }
    save(folder / "evaluation/evaluation.json", evaluation)


def save(path: Path, value: object) -> None:
    write_atomically(str(path), json.dumps(value).encode())


class Page(HTMLParser):
    """Text and elements of a page; fails on elements that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, name: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((name, dict(attrs)))
        if name not in VOID:
            self.open.append(name)

    def handle_endtag(self, name: str) -> None:
        assert self.open.pop() == name

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def render(folder: Path) -> str:
    report.run(str(folder), str(folder / "report.html"))
    return (folder / "report.html").read_text(encoding="utf-8")


def test_whole_build(tmp_path: Path) -> None:
    whole_build(tmp_path)
    page = Page(render(tmp_path))
    assert [dict(attrs)["id"] for name, attrs in page.seen if name == "section"] == [key for key, *_ in report.SECTIONS]
    for shown in (
        "From 12 posts and 9 votes and links of 2 input files came 10 documents in 1 language",
        "gave 7 preference pairs",
        "in 75.0% (95% interval 70.0% to 80.0%)",
        "“prefer the longer answer”, in 50.0%",
        "truncated-file (1 file)",
        "interval lies above all trivial rules",
        "Not shown: 1 language with fewer than 30 pairs, 3 in all.",
        "Too long for the model and cut: 2 prompts cut.",
        "3 steps over 12 pairs.",
    ):
        assert shown in page.text, shown
    assert "Not in this build" not in page.text
    assert page.text.index("3-5") < page.text.index("11+")


def test_every_record_is_accounted_for(tmp_path: Path) -> None:
    whole_build(tmp_path)
    steps = {step.name: step for step in read_build(str(tmp_path)).funnel}
    wanted = {
        "posts of the dump": (12, 10, 2),
        "votes and links joined to posts": (9, 7, 2),
        "sure of a listed language": (10, 9, 1),
        "no near-duplicate": (10, 9, 1),
        "candidate pairs": (10, 7, 3),
        "for the curriculum": (10, 8, 2),
    }
    assert {name: (steps[name].came_in, steps[name].kept, steps[name].dropped) for name in wanted} == wanted
    assert "Not all records are accounted for" not in render(tmp_path)


def test_lost_records_raise_an_alarm(tmp_path: Path) -> None:
    counts = {"documents": {"in": 10, "kept": 8}, "drop": {"language-unsure": 1}}
    dataset(tmp_path / "layers/language", "language", counts, {})
    assert "Not all records are accounted for: sure of a listed language: 10 in, 9 found" in Page(render(tmp_path)).text


def test_partial_build_names_what_is_missing(tmp_path: Path) -> None:
    corpus(tmp_path)
    page = Page(render(tmp_path))
    missing = "preference pairs, tokenizer, curriculum, pretraining, preference model, evaluation"
    assert f"Not in this build: {missing}." in page.text


def test_no_build_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds none of the datasets of a build"):
        report.run(str(tmp_path), str(tmp_path / "report.html"))


def test_what_a_dump_says_is_escaped(tmp_path: Path) -> None:
    corpus(tmp_path / HOSTILE.replace("/", "").replace("\x00", ""), HOSTILE, HOSTILE)
    html = render(next(tmp_path.iterdir()))
    page = Page(html)
    assert not {"script", "img", "iframe"} & {name for name, _ in page.seen}
    assert "\u202e" not in html
    assert "\x00" not in html
    assert '<script>alert("x")</script>\ufffd&amp;\ufffd' in page.text  # as text, three times


def test_one_file_and_nothing_from_outside(tmp_path: Path) -> None:
    whole_build(tmp_path)
    html = render(tmp_path)
    for _, attributes in Page(html).seen:
        assert not {"src", "onload", "onclick"} & set(attributes)
        assert (attributes.get("href") or "#").startswith("#")
    assert not re.search(r"@import|url\(", html)


def test_same_build_same_page(tmp_path: Path) -> None:
    for name in ("one", "two"):
        whole_build(tmp_path / name / "build")
    pages = [render(tmp_path / name / "build") for name in ("one", "two")]
    first, second = (re.sub(r"<footer>.*</footer>", "", page) for page in pages)
    assert first == second


def test_escape_is_idempotent_on_our_own_html_only() -> None:
    assert tag("p", tag("b", "<")) == "<p><b>&lt;</b></p>"
    assert tag("p", "<b>") == "<p>&lt;b&gt;</p>"
    assert tag("a", "x", title='"><script>') == '<a title="&quot;&gt;&lt;script&gt;">x</a>'
    assert escape("नमस्ते\nمرحبا") == "नमस्ते\nمرحبا"


def test_table_refuses_a_row_of_another_width() -> None:
    with pytest.raises(ValueError, match="1 cells in a table of 2"):
        table([Column("a"), Column("b")], [("1",)])


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.69, 0.7), (3.0, 3.0), (-2e-6, 5e-6), (1e3, 9.7e6)])
def test_axis_covers_its_range_with_round_ticks(low: float, high: float) -> None:
    found = axis(low, high, 4)
    assert found.low <= low <= high <= found.high
    assert 2 <= len(found.ticks) <= 12
    assert list(found.ticks) == sorted(set(found.ticks))


def test_thinned_keeps_the_mean_shape_and_the_last_point() -> None:
    series = thinned(Series("loss", range(10_001), [float("nan") if x == 5 else float(x) for x in range(10_001)]))
    assert len(series.xs) <= MAX_POINTS + 1
    assert (series.xs[-1], series.ys[-1]) == (10_000, 10_000)
    assert all(abs(x - y) < 1 for x, y in zip(series.xs, series.ys, strict=True))


def test_a_chart_of_nothing_is_nothing() -> None:
    assert line_chart("Loss", [Series("train", [1.0], [float("inf")])], "step", str) == ""


def test_numbers() -> None:
    assert [percent(0.12345), percent(None), percent(1.0, 0)] == ["12.3%", "–", "100%"]
    assert [file_size(999), file_size(1_500), file_size(2_340_000_000)] == ["999 B", "1.5 kB", "2.3 GB"]
