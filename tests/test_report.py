"""The report: whole and partial builds, and the page's own promises (one file, same bytes)."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from pipelines.report import page as report
from pipelines.report.folder import read_build
from pipelines.report.html import CSS, TEMPLATES, Column, Table, compact, environment, fill, number, percent
from tests import golden_forum
from tests.conftest import ROOT
from tests.small_build import RULE, Page, assert_harmless, corpus, dataset, drawn, render, save, whole_build


def test_whole_build(tmp_path: Path) -> None:
    whole_build(tmp_path)
    page = Page(render(tmp_path))
    assert [dict(attrs)["id"] for name, attrs in page.seen if name == "section"] == [key for key, *_ in report.SECTIONS]
    for shown in (
        "From 12 posts and texts and 9 votes and links of 2 input files came 10 documents.",
        "9 documents are surely in one of 1 language.",
        "Votes gave 7 preference pairs.",
        "On 90 pairs of the holdout split, held out of all training, the preference model agrees with the votes in "
        "75.0% (95% interval 70.0% to 80.0%); the best trivial rule, “prefer the longer answer”, in 50.0%.",
        "truncated-file (1 file)",
        "The model is ahead of every trivial rule",
        "Too long for the model and cut: 2 prompts cut.",
        "3 steps over 12 pairs.",
        "Posts.xml 3.5 kB 12 10 0 2",  # every row of a file is in one of the columns
        "Votes.xml 99 B 9 0 7 2",
    ):
        assert shown in page.text, shown
    assert "Not in this build" not in page.text
    assert "What cannot be read" not in page.text
    assert page.text.index("3-5") < page.text.index("11+")


@pytest.mark.parametrize("exported", [0, 2, 3])
def test_the_exported_step_is_named_and_marked_where_it_is_not_the_last(tmp_path: Path, exported: int) -> None:
    """0: a model of an earlier version does not say it."""
    whole_build(tmp_path)
    counts = {"steps": {"taken": 3, "exported": exported}} if exported else {}
    for name in ("pretrain", "preference_model"):
        shutil.rmtree(tmp_path / name / "export")
        dataset(tmp_path / name / "export", "model", counts, {})
        if exported:
            said = {"told": ["no better than chance <b>"]}
            (tmp_path / name / "export" / "training.json").write_text(json.dumps(said))
        with (tmp_path / name / "metrics.jsonl").open("a") as log:
            log.write('{"kind": "validation", "step": 2, "loss": 0.8, "accuracy": 0.75}\n')
    page = render(tmp_path)
    assert page.count("no better than chance &lt;b&gt;") == (2 if exported else 0)
    told = "The model is that of step 2, when the validation loss was lowest."
    assert Page(page).text.count(told) == (2 if exported == 2 else 0)
    for step, loss in ((2, "0.80"), (3, "0.90")):
        assert page.count(f"exported ends at {loss}") == (2 if exported == step else 0)


def test_every_record_is_accounted_for(tmp_path: Path) -> None:
    whole_build(tmp_path)
    steps = {step.name: step for step in read_build(str(tmp_path)).funnel}
    wanted = {
        "posts and texts": (12, 10, 2),
        "votes and links joined to posts": (9, 7, 2),
        "sure of a listed language": (10, 9, 1),
        "no near-duplicate": (10, 9, 1),
        "candidate pairs": (10, 7, 3),
        "used by the curriculum": (10, 8, 2),
    }
    assert {name: (steps[name].came_in, steps[name].kept, steps[name].dropped) for name in wanted} == wanted
    assert "Not all records are accounted for" not in render(tmp_path)


def test_no_report_of_a_sound_build_calls_it_defective(tmp_path: Path, lid_model: Path) -> None:
    golden_forum.build(tmp_path, lid_model)  # from sources of every kind with faults of every kind
    page = Page(render(tmp_path)).text
    assert "In every step, what came in is what was kept plus what was dropped for a stated reason." in page
    for said in ("Not all records are accounted for", "defect", "Not all counts can be read", "What cannot be read"):
        assert said not in page
    for file in (files := read_build(str(tmp_path)).inputs):
        parts = sum(sum(fates.values()) for fates in (file.dropped, file.used, file.unused))
        assert file.rows == file.kept + parts, file.name
    assert sum(file.holds_marks for file in files) > 1
    build = read_build(str(tmp_path))  # of everything that was dropped there is an example
    rejected, unpaired = build.contents.rejected, build.contents.unpaired
    assert {row.reason for row in rejected} == build.count("documents", "drop").keys() != set()
    assert {row.reason for row in unpaired} == build.count("pairs", "candidates").keys() - {"kept"} != set()
    for layer in ("language", "duplicates"):
        reasons = {row.reason for row in build.contents.dropped if row.layer == layer}
        assert reasons == build.count(layer, "drop").keys() != set()
    assert all(row.excerpt for row in build.contents.dropped)
    assert build.contents.pairs is not None
    assert sum(bias.longer.pairs for bias in build.contents.pairs.by_split.values()) == build.datasets["pairs"].rows


def test_lost_records_raise_an_alarm(tmp_path: Path) -> None:
    counts = {"documents": {"in": 10, "kept": 8}, "drop": {"language-unsure": 1}}
    dataset(tmp_path / "layers/language", "language", counts, {})
    assert "Not all records are accounted for: sure of a listed language: 10 in, 9 found" in Page(render(tmp_path)).text


def test_pairs_that_are_in_no_file_are_lost(tmp_path: Path) -> None:
    counts = {"candidates": {"kept": 7, "tie": 3}, "candidates_in": {"all": 10}}
    dataset(tmp_path / "pairs", "pairs", counts, {"data/train-00000-of-00001.arrow": 6})
    assert "Not all records are accounted for: candidate pairs: 10 in, 9 found" in Page(render(tmp_path)).text


def test_of_one_is_spoken_as_of_one_and_of_none_not_at_all(tmp_path: Path) -> None:
    assert "Another 1 thread had candidates and gave no pair." in Page(render_of_pairs(tmp_path / "one", 1)).text
    page = Page(render_of_pairs(tmp_path / "none", 0)).text
    assert "1 candidate pair of answers under the same question, 1 kept, from 1 thread. language" in page
    assert "gave no pair" not in page
    assert "pairs · 1 row, " in page
    assert "1 file file rows bytes SHA-256" in page
    assert "1 files" not in page
    assert "1 of 1 document is sure of a listed language." in page
    assert "1 answer was accepted by the asker." in page


def render_of_pairs(folder: Path, without: int) -> str:
    """A build of one of everything, with so many threads that gave no pair."""
    dataset(folder / "documents", "documents", {"accepted": {"answer": 1}}, {"data/00000-of-00001.arrow": 1})
    dataset(folder / "layers/language", "language", {"documents": {"in": 1, "kept": 1}}, {})
    threads = {"with-pairs": 1} | ({"without-pairs": without} if without else {})
    counts = {"candidates": {"kept": 1}, "candidates_in": {"all": 1}, "threads": threads}
    dataset(folder / "pairs", "pairs", counts, {"data/train-00000-of-00001.arrow": 1}, settings={"rule": RULE})
    return render(folder)


def test_few_texts_and_a_stage_beyond_the_recipe_are_shown(tmp_path: Path) -> None:
    whole_build(tmp_path)
    fit = {"bytes_per_token": 3.0, "fertility": 1.5, "word_split": "space", "round_trip_rate": 0.997, "texts": 3}
    save(tmp_path / "tokenizer/card.json", {"validation": {"yue_Hant": fit}})
    recipe = {"recipe": {"stages": [{"name": "first"}]}}
    mix = {"planned_tokens": {"first/eng_Latn": 5, "later/eng_Latn": 5}}
    dataset(tmp_path / "other/curriculum", "curriculum", mix, {}, settings=recipe)
    (tmp_path / "other/curriculum/manifest.json").replace(tmp_path / "curriculum/manifest.json")
    page = Page(render(tmp_path))
    assert "Chinese (Cantonese) 0 3 3.00 1.50 per word >99%" in page.text
    assert "Grey: measured on fewer than 30 texts." in page.text
    assert "in 2 stages" in page.text
    assert page.text.index("Stage first") < page.text.index("Stage later")


def test_partial_build_names_what_is_missing(tmp_path: Path) -> None:
    corpus(tmp_path)
    page = Page(render(tmp_path))
    missing = "preference pairs, tokenizer, curriculum, pretraining, preference model, evaluation"
    assert f"Not in this build: {missing}." in page.text


def test_no_build_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds none of the datasets of a build"):
        report.run(str(tmp_path), str(tmp_path / "report.html"))


def test_one_file_and_nothing_from_outside(tmp_path: Path) -> None:
    whole_build(tmp_path)
    assert_harmless(render(tmp_path))


def test_same_build_same_page(tmp_path: Path) -> None:
    for name in ("one", "two"):
        whole_build(tmp_path / name / "build")
    pages = [render(tmp_path / name / "build") for name in ("one", "two")]
    first, second = (re.sub(r"<footer>.*</footer>", "", page) for page in pages)
    assert first == second


def test_table_refuses_a_row_of_another_width() -> None:
    with pytest.raises(ValueError, match="1 cells in a table of 2"):
        Table([Column("a"), Column("b")], [("1",)])


def test_numbers() -> None:
    assert [percent(0.12345), percent(None), percent(1.0, 0)] == ["12.3%", "–", "100%"]
    assert [number(None), number(1234), number(2.346, 2), number((1 << 63) - 1)] == [
        "–", "1,234", "2.35", "9,223,372,036,854,775,807"
    ]  # fmt: skip


def test_compact() -> None:
    found = [compact(value) for value in (0, 0.25, 5, 1234, 9999, 25_000, -25_000, 3e6, 1.5e9, 1e12, 1 / 3)]
    assert found == ["0", "0.25", "5", "1,234", "9,999", "25k", "-25k", "3M", "1.5G", "1T", "0.3333"]


def test_no_share_is_rounded_to_none_or_to_all() -> None:
    assert [percent(share) for share in (0.0, 0.0004, 0.0006, 0.9994, 0.9996, 1.0)] == [
        "0.0%", "<0.1%", "0.1%", "99.9%", ">99.9%", "100.0%"
    ]  # fmt: skip
    assert [percent(share, 0) for share in (0.004, 0.5, 0.997)] == ["<1%", "50%", ">99%"]
    assert percent(0.99999, 2) == ">99.99%"


def test_a_long_table_has_all_its_rows_and_says_how_many_are_folded() -> None:
    page = Page(drawn("table", Table([Column("name", "name")], [(f"row {index}",) for index in range(1_027)])))
    assert [f"row {index}" in page.words for index in range(1_027)] == [True] * 1_027
    assert page.words.index("row 24") < page.words.index("1,002 more") < page.words.index("row 25")


def test_whatever_a_template_prints_is_visible_and_escaped() -> None:
    text = '"><script>\u202e\x00' + "x" * 3_000
    page = environment.from_string('<p title="{{ text }}">{{ text }}</p>{{ [text] }}').render(text=text)
    assert page.count("&#34;&gt;&lt;script&gt;\ufffd\ufffd") == 2
    assert page.count("(3,012 characters)") == 2
    assert not re.search("<script|[\u202e\x00]", page)
    assert environment.from_string("{{ text }}").render(text="नमस्ते\nمرحبا") == "नमस्ते\nمرحبا"


@pytest.mark.parametrize("path", sorted(TEMPLATES.iterdir()), ids=lambda path: path.name)
def test_no_template_goes_around_escaping(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\|\s*safe|autoescape|=\{\{|='| on\w+=|<script", text)  # attributes stand in double quotes


def test_what_a_template_needs_and_has_not_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        fill("funnel.html", view={})


def test_templates_and_style_are_installed() -> None:
    patterns = re.search(r'"pipelines": \[(.*?)\]', (ROOT / "setup.py").read_text(encoding="utf-8"))
    assert patterns
    shipped = {found for pattern in re.findall(r'"(.*?)"', patterns[1]) for found in (ROOT / "pipelines").glob(pattern)}
    assert {CSS, *TEMPLATES.iterdir()} <= shipped


def test_a_row_has_a_cell_for_each_column(tmp_path: Path) -> None:
    whole_build(tmp_path)
    for table in re.findall(r"<table>.*?</table>", render(tmp_path), re.DOTALL):
        widths = {len(re.findall(r"<t[hd] ", row)) for row in table.split("<tr")[1:]}
        assert len(widths) == 1, table
