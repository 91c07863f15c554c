"""Which of several like documents stays: laws of the order, and the columns it is made from."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines import annotate
from tests.test_annotate import write_documents
from transforms.datasets import shards
from transforms.datasets.dataset import Dataset
from transforms.dedup.rank import RANK, Criterion, best_of_each, rank_rows, ranked
from transforms.dedup.spec import MinHashSpec
from transforms.io.shard import Shard, document_shard
from transforms.layers.duplicates import LAYER

QUALITY, LONGEST, OLDEST = Criterion
USUAL = (LONGEST, OLDEST)


def day(number: int) -> datetime:
    return datetime(2020, 1, number, tzinfo=UTC)


def table(*rows: dict[str, Any]) -> pa.Table:
    """Rows of RANK, alike but for what is given."""
    alike = {"doc_id": "a", "created": None, "priority": 0, "quality": 0.0, "num_tokens": 1}
    return pa.Table.from_pylist([alike | row for row in rows], schema=RANK)


@pytest.mark.parametrize(
    ("better", "worse", "survivor"),
    [
        ({"priority": 0}, {"priority": 1, "num_tokens": 9, "quality": 2.0, "created": day(1)}, USUAL),
        ({"priority": -1}, {"priority": 0}, USUAL),
        ({"num_tokens": 9, "created": day(2)}, {"num_tokens": 8, "created": day(1)}, USUAL),
        ({"num_tokens": 8, "created": day(1)}, {"num_tokens": 9, "created": day(2)}, (OLDEST, LONGEST)),
        ({"created": day(1)}, {"created": day(2)}, USUAL),
        ({"created": day(2)}, {"created": None}, USUAL),
        ({"doc_id": "a"}, {"doc_id": "b", "created": day(1)}, (LONGEST,)),
        ({"quality": 1.5, "num_tokens": 1}, {"quality": 1.25, "num_tokens": 9}, (QUALITY, *USUAL)),
        ({"quality": 1.0, "num_tokens": 1}, {"quality": 2.0, "num_tokens": 0}, USUAL),
        ({"doc_id": "q9"}, {"doc_id": "q10"}, USUAL),
        ({"doc_id": "q007"}, {"doc_id": "q7"}, ()),
        ({"doc_id": "a2b3"}, {"doc_id": "a2b10"}, ()),
        ({"doc_id": "9" * 5_000}, {"doc_id": "1" + "0" * 5_000}, ()),
        ({"doc_id": "9" * 5_000}, {"doc_id": "x"}, ()),
        ({"doc_id": "½5"}, {"doc_id": "½²"}, ()),
    ],
)
def test_the_better_one_of_two(better: dict[str, Any], worse: dict[str, Any], survivor: Any) -> None:
    better, worse = ({"doc_id": "same"} | row for row in (better, worse))
    assert ranked(table(better, worse), survivor).tolist() == [0, 1]
    assert ranked(table(worse, better), survivor).tolist() == [1, 0]
    assert best_of_each(table(worse, better), survivor, np.array([7, 7])).tolist() == [1]


def test_groups_are_apart_and_ascend() -> None:
    ids = [f"d{number}" for number in (11, 2, 10, 3, 1, 20)]
    rows = table(*({"doc_id": name, "num_tokens": 5 if name == "d3" else 1} for name in ids))
    groups = np.array([2**63, 5, 2**63, 5, 5, 9], np.uint64)
    assert [ids[row] for row in ranked(rows, USUAL, groups)] == ["d3", "d1", "d2", "d20", "d10", "d11"]
    assert [ids[row] for row in best_of_each(rows, USUAL, groups)] == ["d3", "d20", "d10"]


def test_of_nothing_there_is_no_order() -> None:
    assert ranked(table(), USUAL).tolist() == best_of_each(table(), USUAL, np.zeros(0, np.uint64)).tolist() == []


def shard_of(**columns: Any) -> Shard:
    names = ["a", "b", "c", "d"]
    return document_shard(pa.table({"doc_id": names, "text": names, **columns}))


def test_priority_is_the_first_name_that_is_a_documents_source_or_site() -> None:
    shard = shard_of(source=["forum", "forum", "web", "web"], site=["x.org", "y.org", "z.org", "x.org"])
    found = rank_rows(shard, pa.array([4, 3, 2, 1]), USUAL, ["y.org", "web", "nowhere", "x.org"])
    assert found.column("priority").to_pylist() == [3, 0, 1, 1]
    assert found.column("num_tokens").to_pylist() == [4, 3, 2, 1]
    assert found.schema == RANK
    assert rank_rows(shard_of(), pa.array([1] * 4), USUAL, ()).column("priority").to_pylist() == [0] * 4


def test_what_the_quality_layer_keeps_is_better_and_then_a_higher_score() -> None:
    def quality(ids: list[str]) -> dict[str, pa.Table]:
        score = pa.array([0.5, None, 0.25, 1.0], pa.float32())
        return {"quality": pa.table({"doc_id": ids, "keep": [True, True, False, False], "score": score})}

    shard = shard_of()
    beside = Shard(shard.path, shard.rows, quality(["a", "b", "c", "d"]))
    ones = pa.array([1] * 4)
    assert rank_rows(beside, ones, [QUALITY], ()).column("quality").to_pylist() == [1.5, 1.0, 0.25, 1.0]
    assert rank_rows(beside, ones, USUAL, ()).column("quality").to_pylist() == [0.0] * 4
    with pytest.raises(ValueError, match="no quality layer beside it"):
        rank_rows(shard, ones, [QUALITY], ())
    with pytest.raises(ValueError, match="quality"):
        rank_rows(Shard(shard.path, shard.rows, quality(["a", "b", "d", "c"])), ones, [QUALITY], ())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"survivor": ["newest"]}, "survivor names 'newest'; wanted some of quality, longest, oldest"),
        ({"survivor": ["oldest", "oldest"]}, "survivor names 'oldest' twice"),
        ({"survivor": [Criterion.OLDEST, Criterion.OLDEST]}, "survivor names 'oldest' twice"),
        ({"priority": ["web", "forum", "web"]}, "priority names 'web' twice"),
    ],
)
def test_an_order_that_cannot_be_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MinHashSpec(**settings)


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ([{"source": "reddit", "site": "a.org"}, {"source": "web", "site": "b.org"}], ["c.org"]),
        ([{"source": "jsonl", "site": "a.org", "mapping": "0a1b"}], []),
        ([{"source": "reddit", "site": None}], []),
        ([], []),
    ],
)
def test_priority_of_what_is_not_there_is_told(inputs: list[dict[str, Any]], told: list[str]) -> None:
    """Where the inputs say which sites there are; rows may have sites of their own."""
    spec = MinHashSpec(priority=("c.org", "b.org", "a.org", "web"))
    lines = list(LAYER.notes(spec, inputs))
    assert [line.split("'")[1] for line in lines] == told
    assert all(line.endswith("they are a.org, b.org, reddit, web") for line in lines)


def test_the_order_is_a_setting_of_the_layer(tmp_path: Path) -> None:
    """A longer copy without writing, an older one, and one of the site that is wanted first: each stays when asked."""
    said = "Boil the water first, pour it slowly over the ground coffee and wait for four minutes before you drink it"
    written = {
        "long": (f"{said} {'$$$ ' * 2}", "x.org", day(3)),
        "old": (said, "x.org", day(1)),
        "first": (said, "y.org", day(2)),
    }
    rows = [
        {"doc_id": name, "thread_id": name, "text": text, "site": site, "created": at}
        for name, (text, site, at) in written.items()
    ]
    documents = write_documents(tmp_path / "documents", rows, 2)
    for number, (given, stays) in enumerate(
        [
            ([], "long"),
            (["duplicates.survivor=[oldest]"], "old"),
            (["duplicates.priority=[y.org]"], "first"),
        ]
    ):
        settings = annotate.chosen_settings(["duplicates"], ["duplicates.across_languages=true", *given])
        place = str(tmp_path / f"layers{number}")
        manifest = annotate.run(documents, place, settings)["duplicates"]
        layer = Dataset.open(f"{place}/duplicates")
        found = [row for path in layer.paths for row in shards.read_shard(layer, path).to_pylist()]
        assert [row["doc_id"] for row in found if row["keep"]] == [stays]
        assert manifest.settings["survivor"] == (["oldest"] if number == 1 else ["longest", "oldest"])
