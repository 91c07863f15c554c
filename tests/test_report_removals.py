"""Near-duplicates on the page: the same whatever shards rows are in, few rows read, and nothing in them acts."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from pipelines.report import looking
from pipelines.report.looking import Look
from pipelines.report.reading import Trouble
from pipelines.report.removals import Removals, read_removals
from tests.small_build import HOSTILE, Page, assert_harmless, corpus, render, row_of
from tests.test_report_contents import at, look, small_batches  # noqa: F401
from transforms.datasets import shards
from transforms.datasets.ids import keyed_hash
from transforms.datasets.schema import DOCUMENTS
from transforms.dedup.spec import SCHEMA

Row = dict[str, Any]
RULES = ("exact", "jaccard", "lcs", "contained")


def post(doc_id: str, text: str, **more: Any) -> Row:
    return row_of("documents", "", 0) | {"doc_id": doc_id, "text": text, "title": None} | more


def fate(doc_id: str, kept: str | None = None, rule: str | None = None) -> Row:
    values = {"cluster": kept or doc_id, "cluster_size": 1, "similarity": 0.9 if kept else None, "containment": None}
    return {
        "doc_id": doc_id,
        "kept": kept,
        "rule": rule,
        "keep": kept is None,
        "reason": rule and "duplicate",
        **values,
    }


def forum(draw: random.Random, number: int) -> tuple[list[Row], list[Row]]:
    """Documents and what becomes of them: a third goes for one of those that stay."""
    posts, fates = [], []
    goes = [draw.random() < 0.34 for _ in range(number)]
    stay = [f"d{index}" for index in range(number) if not goes[index]]
    for index in range(number):
        doc_id = f"d{index}"
        posts.append(post(doc_id, f"the same {index}", title=draw.choice([None, "title"])))
        kept = draw.choice(stay) if goes[index] else None
        fates.append(fate(doc_id, kept, kept and draw.choice(RULES)))
    return posts, fates


def looks(folder: Path, posts: list[Row], fates: list[Row], number: int, troubles: list[Trouble]) -> tuple[Look, Look]:
    of_posts = {at(n, number): posts[n::number] for n in range(number)}
    of_fates = {at(n, number): fates[n::number] for n in range(number)}
    documents = look(folder, "documents", DOCUMENTS, of_posts, troubles)
    return look(folder, "duplicates", SCHEMA, of_fates, troubles), documents


def read(folder: Path, posts: list[Row], fates: list[Row], number: int = 1) -> Removals:
    troubles: list[Trouble] = []
    found = read_removals(*looks(folder, posts, fates, number, troubles))
    assert not troubles
    return found


@pytest.mark.parametrize("seed", range(3))
def test_ten_of_each_rule_are_drawn_by_their_ids_whatever_shards_they_are_in(tmp_path: Path, seed: int) -> None:
    posts, fates = forum(random.Random(seed), 150)
    one, many = read(tmp_path / "one", posts, fates), read(tmp_path / "many", posts, fates, 7)
    assert one.by_rule == many.by_rule
    assert list(one.by_rule) == list(RULES)
    texts = {row["doc_id"]: (f"{row['title']}\n\n" if row["title"] else "") + row["text"] for row in posts}
    for rule, examples in one.by_rule.items():
        of_rule = [row for row in fates if row["rule"] == rule]
        wanted = sorted(of_rule, key=lambda row: keyed_hash("report-removals", row["doc_id"]))[:10]
        assert [(found.removed, found.kept) for found in examples] == [(row["doc_id"], row["kept"]) for row in wanted]
        for found in examples:
            assert found.texts is not None
            shown = ["".join(piece.text for piece in pieces) for pieces in found.texts]
            assert shown == [texts[found.removed], texts[found.kept]]


def test_of_texts_only_the_batches_are_read_that_hold_an_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    posts, fates = forum(random.Random(0), 9)
    fates = [fate(row["doc_id"]) for row in fates]
    fates[1] = fate("d1", "d8", "lcs")
    layer, documents = looks(tmp_path, posts, fates, 1, [])
    asked: list[Any] = []
    read_rows = shards.read_rows
    monkeypatch.setattr(shards, "read_rows", lambda *what: asked.append(what[1:3]) or read_rows(*what))
    iter_batches = shards.iter_batches

    def of_layer(dataset: Any, path: str, columns: Any) -> Any:
        assert dataset.manifest.kind == "duplicates", "documents are read by row"
        return iter_batches(dataset, path, columns)

    monkeypatch.setattr(shards, "iter_batches", of_layer)
    assert read_removals(layer, documents).by_rule.keys() == {"lcs"}
    assert asked == [(at(0, 1), [1, 8])]


def test_a_kept_document_that_is_not_looked_at_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    posts = [post("a", "one text"), post("b", "one text")]
    fates = [fate("a", "b", "exact"), fate("b", "a", "exact")]
    monkeypatch.setattr(looking, "MOST_BYTES", 1)
    found = read(tmp_path, posts, fates, 2)
    ((example,),) = found.by_rule.values()
    assert example.texts is None
    assert (found.looked.shards, found.looked.of_shards) == (1, 2)


def test_shards_that_cannot_be_read_cost_their_texts_only(tmp_path: Path) -> None:
    posts = [post("a", "one text"), post("b", "one text"), post("c", "one text"), post("d", "one text")]
    fates = [fate("a", "c", "exact"), fate("b", "d", "exact"), fate("c"), fate("d")]
    troubles: list[Trouble] = []
    layer, documents = looks(tmp_path, posts, fates, 2, troubles)
    damaged = tmp_path / "documents" / at(0, 2)
    damaged.write_bytes(damaged.read_bytes()[:-9] + b"x" * 9)
    examples = read_removals(layer, documents).by_rule["exact"]
    assert {found.removed: found.texts is None for found in examples} == {"a": True, "b": False}
    assert [trouble.file for trouble in troubles] == [f"documents/{at(0, 2)}"]


def test_differences_are_marked_on_the_page_and_nothing_acts(tmp_path: Path) -> None:
    corpus(tmp_path)
    mean = f"</mark></blockquote>{HOSTILE}\u2066\ud7ff"
    rows = {"documents": [post("q1", f"{mean} slowly"), post("q2<i>", f"{mean} fast {'x ' * 9_000}")]}
    rows["duplicates"] = [fate("q1", "q2<i>", "lcs"), fate("q2<i>")]
    rows["duplicates"].append(fate("q3", "q1", "<b>no rule</b>"))
    rows["documents"].append(post("q3", "another"))
    for kind, schema in (("documents", DOCUMENTS), ("duplicates", SCHEMA)):
        folder = tmp_path / ("documents" if kind == "documents" else "layers/duplicates")
        look(tmp_path / "other", kind, schema, {at(0, 1): rows[kind]})
        for name in ("manifest.json", at(0, 1)):
            (folder / name).write_bytes((tmp_path / "other" / kind / name).read_bytes())
    html = render(tmp_path)
    assert_harmless(html)
    page = Page(html)
    assert [name for name, _ in page.seen].count("mark") == 2
    assert "<mark>slowly</mark>" in html
    assert "<mark>fast" in html
    assert "lcs: 1 document" in page.text
    assert "no rule" not in page.text


def test_a_text_of_another_build_is_not_shown_though_its_id_is_here_as_well(tmp_path: Path) -> None:
    """a and b went for an a of a finished build, which these documents are held against."""
    posts = [post("a", "the second version"), post("b", "the second version too"), post("c", "else")]
    found = read(tmp_path, posts, [fate("a", "a", "jaccard"), fate("b", "a", "jaccard"), fate("c")])
    assert {(one.removed, one.kept, one.texts) for one in found.by_rule["jaccard"]} == {
        ("a", "a", None),
        ("b", "a", None),
    }
