"""How many documents of each language and source are removed: counted, shown, and bounded."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest

from pipelines import annotate
from pipelines.local.options import beam_pipeline
from tests import laws
from tests.small_build import Page, assert_harmless, corpus, dataset, render
from tests.small_dataset import some_build
from tests.test_annotate import write_documents
from transforms.datasets.fates import Tally
from transforms.datasets.ids import plain
from transforms.datasets.manifest import Manifest
from transforms.datasets.opening import HeldBackError
from transforms.datasets.standing import Existing
from transforms.dedup.graph import Deduplicate
from transforms.dedup.origins import count_origins, origins_of
from transforms.dedup.search import Search
from transforms.dedup.spec import SCHEMA, MinHashSpec
from transforms.io.shard import Shard, document_shard
from transforms.io.write import WriteShards
from transforms.layers.duplicates import check_removed

ACROSS = "duplicates.across_languages=true"


def shard_of(languages: Sequence[str | None], **columns: Any) -> Shard:
    ids = [f"d{number}" for number in range(len(languages))]
    table = pa.table({"doc_id": ids, "text": ["Thanks a lot!"] * len(ids), **columns})
    layer = pa.table({"doc_id": ids, "language": pa.array(languages, pa.string())})
    return replace(document_shard(table), layers={"language": layer})


def test_documents_and_those_removed_are_counted_by_language_and_source(tmp_path: Path) -> None:
    shard = shard_of(["eng_Latn", "deu_Latn", "eng_Latn", None, None], source=["a", "a", "b", "b", "b"])
    build = some_build(tmp_path / "layer", "duplicates")
    with beam_pipeline() as p:
        search = Search(MinHashSpec(), str(tmp_path / "scratch"), 1, 5)
        _ = p | beam.Create([shard]) | Deduplicate(search) | WriteShards(build, SCHEMA, "doc_id")
    written = build.finished(shard.path)
    assert written
    counts = {group: names for group, names in written.counts.items() if "_by_" in group}
    assert counts == {
        "documents_by_language": {"eng_Latn": 2, "deu_Latn": 1, "unknown": 2},
        "removed_by_language": {"eng_Latn": 1, "unknown": 1},
        "documents_by_source": {"a": 2, "b": 3},
        "removed_by_source": {"b": 2},
    }


def test_only_what_is_there_is_counted() -> None:
    """A table of one's own need not have a source; across languages no language layer is asked for."""
    counts = Tally()
    count_origins(counts, origins_of(shard_of(["eng_Latn"]), False), pa.chunked_array([[True]]))
    count_origins(counts, origins_of(shard_of(["eng_Latn"], source=["a"]), True), pa.chunked_array([[False]]))
    assert counts.to_dict() == {
        "documents_by_language": {"eng_Latn": 1},
        "documents_by_source": {"a": 1},
        "removed_by_source": {"a": 1},
    }


def counted(origin: str, documents: int, removed: int, name: str = "ars_Arab") -> dict[str, dict[str, int]]:
    return {f"documents_by_{origin}": {name: documents}, f"removed_by_{origin}": {name: removed}}


@pytest.mark.parametrize(
    ("counts", "bound", "told"),
    [
        (counted("language", 1_000, 801), 0.8, r"801 of 1,000 documents \(80.1%\) of the language .*\(ars_Arab\): "),
        (counted("language", 1_000, 800), 0.8, None),
        (counted("language", 999, 999), 0.8, None),
        (
            counted("source", 5_000, 4_999, "reddit"),
            0.99,
            r"4,999 of 5,000 documents \(100.0%\) of the source reddit: ",
        ),
        (counted("source", 5_000, 5_000), 1.0, None),
        (counted("source", 5_000, 1), 0.0, "more than the bound most_removed, 0.0%"),
        ({"documents_by_language": {"ars_Arab": 5_000}}, 0.0, None),
        ({}, 0.0, None),
    ],
)
def test_a_share_above_the_bound_is_told(counts: dict[str, dict[str, int]], bound: float, told: str | None) -> None:
    settings = MinHashSpec(most_removed=bound)
    if told is None:
        check_removed(settings, counts)
    else:
        with pytest.raises(HeldBackError, match=told):
            check_removed(settings, counts)


def test_of_many_shares_the_largest_are_told() -> None:
    documents = {f"s{number}": 2_000 for number in range(6)}
    removed = {name: 1_700 + number for number, name in enumerate(documents)}
    counts = {"documents_by_source": documents, "removed_by_source": removed}
    with pytest.raises(HeldBackError) as failed:
        check_removed(MinHashSpec(), counts)
    assert [f"source s{number};" in str(failed.value) for number in range(6)] == [False] * 3 + [True] * 3
    assert "; and too many of 3 others: more" in str(failed.value)


@pytest.mark.parametrize("bound", [-0.1, 1.5, float("nan"), True])
def test_a_bound_that_is_no_share_is_refused(bound: float) -> None:
    with pytest.raises(ValueError, match="most_removed must be a share from 0 to 1"):
        MinHashSpec(most_removed=bound)


def test_a_layer_beyond_the_bound_is_held_back_and_published_as_it_is_once_the_bound_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"doc_id": f"d{n}", "thread_id": f"d{n}", "text": f"Thanks {n % 10}", "source": "x"} for n in range(1_000)]
    documents, place = write_documents(tmp_path / "documents", rows, 2), tmp_path / "layers"

    def run(bound: float, at: Path = place, existing: Existing = Existing.REFUSE) -> Manifest:
        given = [ACROSS, f"duplicates.most_removed={bound}"]
        settings = annotate.chosen_settings(["duplicates", "split"], given)
        return annotate.run(documents, str(at), settings, existing=existing)["duplicates"]

    with pytest.raises(HeldBackError, match=r"990 of 1,000 documents \(99.0%\) of the source x: .* 80.0%"):
        run(0.8)
    assert not (place / "duplicates" / "manifest.json").exists()
    with monkeypatch.context() as patched:
        patched.setattr(annotate, "build", None)  # nothing is computed anew
        held_back = run(0.99)
    assert laws.assert_sound(place / "duplicates") == held_back == run(1.0, tmp_path / "at_once")
    assert "most_removed" not in held_back.settings
    with pytest.raises(HeldBackError, match=r"more than the bound most_removed, 50.0%"):
        run(0.5)  # of what stands, too
    with pytest.raises(HeldBackError):
        run(0.5, existing=Existing.REPLACE)
    assert laws.assert_sound(place / "duplicates") == held_back


def build_with_duplicates(folder: Path, counts: dict[str, dict[str, int]], settings: object) -> str:
    """The page of a build whose duplicates layer has these counts and settings."""
    documents = corpus(folder)
    shutil.rmtree(folder / "layers/duplicates")
    counts = {"documents": {"in": 10, "kept": 9}, "drop": {"duplicate": 1}} | counts
    rows, parents = {"data/00000-of-00001.arrow": 10}, {"documents": documents.digest}
    dataset(folder / "layers/duplicates", "duplicates", counts, rows, parents=parents, settings=settings)
    return render(folder)


def test_the_report_shows_the_shares_of_all_languages_and_sources_and_how_texts_are_found(tmp_path: Path) -> None:
    counts = {
        "documents_by_language": {"eng_Latn": 8, "deu_Latn": 2},
        "removed_by_language": {"deu_Latn": 1},
        "documents_by_source": {"stackexchange": 10},
        "removed_by_source": {"stackexchange": 1},
    }
    html = build_with_duplicates(
        tmp_path, counts, {"catch_curves": plain(MinHashSpec(ngram=5, bands=14, rows=8).catch_curves)}
    )
    page = Page(html).text
    assert "language code documents removed share English eng_Latn 8 0 0.0% German deu_Latn 2 1 50.0%" in page
    assert "source documents removed share stackexchange 10 1 10.0%" in page
    assert "Probability that two texts are compared" in page
    assert "most texts: runs of 5 tokens, 14 bands of 8 rows" in page
    assert "most texts: runs of 5 tokens, 14 bands of 8 rows: 92.35% at 0.8" in html
    assert "cannot be read" not in page
    assert "compared with the likeliest 16" not in page  # a table without rows


@pytest.mark.parametrize(
    "curves",
    [
        None,
        {"most": []},
        {"most": {"probability": {"0.5": 2.0, "<b>": 0.5, "nan": 0.5, "9": 0.5}}},
        {"most": {"ngram": -1, "bands": "<b>", "rows": 1, "probability": {}}},
    ],
)
def test_curves_that_are_none_cost_nothing_but_themselves(tmp_path: Path, curves: object) -> None:
    html = build_with_duplicates(tmp_path, {}, {"catch_curves": curves})
    assert_harmless(html)
    assert "catch_curves.most" in html


def test_the_curve_is_that_of_bands_and_rows() -> None:
    """1 - (1 - s^rows)^bands, to four digits."""
    found = MinHashSpec(ngram=4, bands=2, rows=3).catch_curves["most"]
    assert (found["ngram"], found["bands"], found["rows"]) == (4, 2, 3)
    probability = found["probability"]
    assert isinstance(probability, dict)
    assert (probability["0.05"], probability["0.50"], probability["1.00"]) == (0.0002, 0.2344, 1.0)
    assert len(probability) == 20
