"""Near-duplicates end to end: planted clusters, exactness under every cut, hot texts, and components in rounds."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest

from pipelines.local.options import beam_pipeline
from tests.small_dataset import read_unfinished, some_build
from tests.test_annotate import write_documents
from transforms.datasets import shards
from transforms.datasets.dataset import Dataset
from transforms.datasets.fates import Tally
from transforms.datasets.names import shard_name
from transforms.dedup.compared import compared
from transforms.dedup.copies import read_texts
from transforms.dedup.graph import Deduplicate
from transforms.dedup.search import Search, sketch_file
from transforms.dedup.spec import SCHEMA, MinHashSpec, size_class
from transforms.io.read import ReadShards
from transforms.io.shard import Shard, document_shard
from transforms.io.write import WriteShards

SPEC = MinHashSpec(across_languages=True)  # documents of these tests have no language layer
WORDS = [f"word{number}" for number in range(3_000)]


def text(seed: int, num_words: int = 120) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=num_words))


def edited(original: str, at: int) -> str:
    """The text with one word changed: Jaccard similarity about 0.92 for 120 words in shingles of five."""
    words = original.split()
    words[at] = "changed"
    return " ".join(words)


def planted() -> tuple[list[dict[str, Any]], dict[str, tuple[str, str | None]]]:
    """Rows, and for every id its cluster and the reason why it is dropped."""
    texts: dict[str, str] = {f"u{number:03d}": text(number) for number in range(150)}
    wanted: dict[str, tuple[str, str | None]] = {name: (name, None) for name in texts}

    def plant(name: str, content: str, cluster: str, reason: str | None) -> None:
        texts[name], wanted[name] = content, (cluster, reason)

    for number in range(20):
        plant(f"v{number:03d}", text(number).upper() + "\n", f"u{number:03d}", "duplicate")
        plant(f"w{number:03d}", edited(text(number), 60), f"u{number:03d}", "near-duplicate")
    plant("a-chain", edited(text(21), 60), "a-chain", None)  # the smallest id stands for the cluster
    wanted["u021"] = ("a-chain", "near-duplicate")
    for number in range(60):
        plant(
            f"t{number:03d}", ("Thanks!", "Thanks.", "thanks")[number % 3], "t000", None if number == 0 else "duplicate"
        )
    plant("s1", "Thanks a lot!", "s1", None)
    plant("s2", "Thanks, a lot", "s2", None)
    plant("empty1", "", "empty1", None)
    plant("empty2", "", "empty2", None)
    rows = [{"doc_id": name, "thread_id": f"thread-{name}", "text": content} for name, content in texts.items()]
    return rows, wanted


def search_for(tmp_path: Path, documents: str) -> tuple[Dataset, Search]:
    """The documents, and a search in them."""
    dataset = Dataset.open(documents)
    return dataset, Search(SPEC, str(tmp_path / "scratch"), len(dataset.paths), dataset.manifest.rows)


def layer_of(documents: Dataset, search: Search, place: Path, workers: int = 1) -> list[Shard]:
    """Runs the graph; the shards of the layer, with their counts."""
    build = some_build(place / "layer", "duplicates")
    with beam_pipeline(workers) as p:
        _ = p | ReadShards(documents) | Deduplicate(search) | WriteShards(build, SCHEMA, "doc_id", beside=documents)
    written = [build.finished(path) for path in documents.paths]
    return [Shard(file.path, read_unfinished(build, file.path), counts=file.counts) for file in written if file]


def deduplicate(found: tuple[Dataset, Search], workers: int = 1) -> dict[str, dict[str, Any]]:
    """Every document's row of the layer by id."""
    documents, search = found
    layer = layer_of(documents, search, Path(search.scratch).parent, workers)
    return {row["doc_id"]: row for shard in layer for row in shard.read().to_pylist()}


@pytest.fixture(scope="module")
def rows_and_wanted() -> tuple[list[dict[str, Any]], dict[str, tuple[str, str | None]]]:
    return planted()


def test_planted_clusters_are_found_and_nothing_else(tmp_path: Path, rows_and_wanted: Any) -> None:
    rows, wanted = rows_and_wanted
    found = deduplicate(search_for(tmp_path, write_documents(tmp_path / "documents", rows, 3)))
    assert {name: (row["cluster"], row["reason"]) for name, row in found.items()} == wanted
    sizes: dict[str, int] = {}
    for cluster, _ in wanted.values():
        sizes[cluster] = sizes.get(cluster, 0) + 1
    assert {name: row["cluster_size"] for name, row in found.items()} == {n: sizes[c] for n, (c, _) in wanted.items()}
    assert {name for name, row in found.items() if row["keep"]} == {n for n, (c, _) in wanted.items() if n == c}


@pytest.mark.parametrize(("num_shards", "num_buckets"), [(1, 1), (5, 1), (5, 64), (12, 7)])
def test_shards_buckets_and_order_change_nothing(
    tmp_path: Path,
    rows_and_wanted: Any,
    num_shards: int,
    num_buckets: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows, wanted = rows_and_wanted
    shuffled = random.Random(num_shards).sample(rows, len(rows))
    search = search_for(tmp_path, write_documents(tmp_path / "documents", shuffled, num_shards, sort=False))
    monkeypatch.setattr(Search, "num_buckets", property(lambda _: num_buckets))
    found = deduplicate(search)
    assert {name: (row["cluster"], row["reason"]) for name, row in found.items()} == wanted


def test_two_processes_give_the_same(tmp_path: Path, rows_and_wanted: Any) -> None:
    rows, wanted = rows_and_wanted
    found = deduplicate(search_for(tmp_path, write_documents(tmp_path / "documents", rows, 4)), workers=2)
    assert {name: (row["cluster"], row["reason"]) for name, row in found.items()} == wanted


def test_the_longest_stays_then_the_oldest_then_the_least_id_by_its_numbers(tmp_path: Path) -> None:
    day, long = datetime(2020, 1, 1, tzinfo=UTC), text(1)
    written = {
        "a1": (long, day),
        "a2": (f"{long} indeed", day),
        "b9": (text(2), day + timedelta(days=1)),
        "b8": (text(2), None),
        "b7": (text(2), day),
        "c10": (text(3), day),
        "c9": (text(3), day),
    }
    rows = [{"doc_id": name, "thread_id": name, "text": said, "created": at} for name, (said, at) in written.items()]
    found = deduplicate(search_for(tmp_path, write_documents(tmp_path / "documents", rows, 2)))
    kept = {name: row["kept"] for name, row in found.items()}
    assert kept == {"a1": "a2", "a2": None, "b7": None, "b8": "b7", "b9": "b7", "c9": None, "c10": "c9"}
    assert [found[name]["rule"] for name in ("a1", "b8", "c10")] == ["jaccard", "exact", "exact"]
    assert 0.9 < found["a1"]["similarity"] < 1.0 == found["a1"]["containment"]
    assert found["b8"]["similarity"] == 1.0
    assert found["a2"]["similarity"] is found["a2"]["rule"] is found["a2"]["containment"] is None


def test_documents_of_different_languages_are_not_compared(tmp_path: Path) -> None:
    languages = {"a": "eng_Latn", "b": "deu_Latn", "c": "eng_Latn", "d": None, "e": None}
    languages |= {"f": "eng_Latn", "g": "deu_Latn"}
    said = [*["Thanks a lot!"] * 5, text(7), edited(text(7), 60)]
    table = pa.table({"doc_id": list(languages), "text": said})
    layer = pa.table({"doc_id": list(languages), "language": pa.array(languages.values(), pa.string())})
    shard = replace(document_shard(table), layers={"language": layer})
    for number, (spec, wanted) in enumerate(
        [
            (MinHashSpec(), {"a": None, "b": None, "c": "a", "d": None, "e": "d", "f": None, "g": None}),
            (SPEC, dict.fromkeys("bcde", "a") | {"a": None, "f": None, "g": "f"}),
        ]
    ):
        build = some_build(tmp_path / f"layer{number}", "duplicates")
        with beam_pipeline() as p:
            search = Search(spec, str(tmp_path / f"scratch{number}"), 1, 7)
            _ = p | beam.Create([shard]) | Deduplicate(search) | WriteShards(build, SCHEMA, "doc_id")
        assert {row["doc_id"]: row["kept"] for row in read_unfinished(build, shard.path).to_pylist()} == wanted


def test_a_title_is_part_of_the_text(tmp_path: Path) -> None:
    rows = [
        {"doc_id": "a", "thread_id": "a", "title": "One", "text": "same"},
        {"doc_id": "b", "thread_id": "b", "title": "Two", "text": "same"},
        {"doc_id": "c", "thread_id": "c", "title": "One", "text": "same"},
    ]
    found = deduplicate(search_for(tmp_path, write_documents(tmp_path / "documents", rows, 2)))
    assert {name: row["cluster"] for name, row in found.items()} == {"a": "a", "b": "b", "c": "a"}


@pytest.mark.parametrize(
    ("texts", "num_clusters"),
    [
        (["while (a == b && c == d) { sum += step; }", "while (a != b || c != d) { sum -= step; }"], 2),
        (["Then x = -5 and y = 3.", "Then x = 5 and y = -3."], 2),
        (["SELECT name FROM t WHERE age >= 18 AND id = 7;", "SELECT name FROM t WHERE age < 18 AND id <> 7;"], 2),
        (["C++ is better than C# for me", "C is better than C for me"], 2),
        (["x = a + b * c is what I need here", "x = a - b / c is what I need here"], 2),
        (["The number is 10²", "The number is 102"], 2),
        ([text(1), f"> {text(1)}\n\nNo, {text(2, 20)}", f"Ann wrote:\n> {text(1)}\n\nYes."], 3),
        ([f"> {text(1)}", f"> {text(1)}", "", " "], 4),
        ([f"{text(1, 30)}?", f"{text(1, 30).title()}.\n", f"> {text(3)}\n\n{text(1, 30)}"], 1),
    ],
)
def test_what_differs_in_meaning_stays_apart(tmp_path: Path, texts: list[str], num_clusters: int) -> None:
    """Operators, signs and digits count; quotes do not, nor do letter case and the ends of sentences."""
    rows = [{"doc_id": f"d{n}", "thread_id": f"d{n}", "text": text} for n, text in enumerate(texts)]
    found = deduplicate(search_for(tmp_path, write_documents(tmp_path / "documents", rows, 2)))
    assert len({row["cluster"] for row in found.values()}) == num_clusters
    if num_clusters == 1:
        assert [row["reason"] for _, row in sorted(found.items())] == [None, *["duplicate"] * (len(texts) - 1)]


def test_a_text_goes_on_once_a_shard_and_is_sketched_once(tmp_path: Path) -> None:
    """No group is larger than the number of shards, however often a text occurs."""
    said = text(5)
    rows = [{"doc_id": f"d{n:04d}", "thread_id": f"d{n:04d}", "text": said} for n in range(5_000)]
    search = search_for(tmp_path, write_documents(tmp_path / "documents", rows, 4))
    assert sum(read_texts(Shard(path, search[0]), search[1]).num_rows for path in search[0].paths) == 4
    found = deduplicate(search)
    assert {row["cluster"] for row in found.values()} == {"d0000"}
    assert {row["cluster_size"] for row in found.values()} == {5_000}
    assert [row["doc_id"] for row in found.values() if row["keep"]] == ["d0000"]
    sketches = [search[1].load_table(sketch_file(index)) for index in range(4)]
    assert [sum(map(bool, table.column("bands").to_pylist())) for table in sketches].count(1) == 1
    assert (
        sum(len(bands) for table in sketches for bands in table.column("bands").to_pylist()) == SPEC.bands + 2
    )  # its own digest and that of its beginning


def test_a_copy_goes_for_what_its_text_goes_for(tmp_path: Path) -> None:
    """And the one that is kept counts all of them, wherever they are; a copy of one that stays goes for that."""
    base = text(1, 60)
    texts = {"keep": f"{base} indeed", "near": base} | {f"copy{n}": f"{base.upper()}." for n in range(12)}
    texts |= {f"same{n}": f"{base} INDEED." for n in range(3)}
    rows = [{"doc_id": name, "thread_id": name, "text": said} for name, said in texts.items()]
    found = deduplicate(search_for(tmp_path, write_documents(tmp_path / "documents", rows, 5)))
    kept = found.pop("keep")
    assert (kept["kept"], kept["rule"], kept["similarity"]) == (None, None, None)
    near = {name: row for name, row in found.items() if not name.startswith("same")}
    assert len({(row["rule"], row["similarity"], row["containment"]) for row in near.values()}) == 1
    assert {row["rule"] for row in near.values()} == {"jaccard"}
    assert {row["rule"] for name, row in found.items() if name not in near} == {"exact"}
    assert {row["kept"] for row in found.values()} == {"keep"}
    assert {row["cluster_size"] for row in (kept, *found.values())} == {17}


def test_one_text_as_code_and_as_prose_is_one_but_each_is_held_against_others_for_itself(tmp_path: Path) -> None:
    code = "\n".join(f"call{n}(a, b{n})" for n in range(8))
    texts = {"prose": code, "code": "\n".join(f"    {line}" for line in code.split("\n"))}
    more = f"{texts['code']}\n    more(a, b)"
    for number, some in enumerate((texts, texts | {"more": more})):
        rows = [{"doc_id": name, "thread_id": name, "text": said} for name, said in some.items()]
        (tmp_path / str(number)).mkdir()
        found = deduplicate(search_for(tmp_path / str(number), write_documents(tmp_path / f"d{number}", rows, 3)))
        fates = {name: (row["kept"], row["rule"]) for name, row in found.items()}
        if number == 0:  # what is code has more tokens: every sign is one
            assert fates == {"code": (None, None), "prose": ("code", "exact")}
        else:  # the prose is nothing like what the code goes for
            assert fates == {"more": (None, None), "code": ("more", "jaccard"), "prose": (None, None)}


def test_rows_are_numbered_through_all_batches_of_a_shard(tmp_path: Path) -> None:
    number = shards.BATCH_ROWS + 100
    rows = [{"doc_id": f"d{n:04d}", "thread_id": "t", "text": f"Thanks {n % (number - 1)}!"} for n in range(number)]
    found = deduplicate(search_for(tmp_path, write_documents(tmp_path / "documents", rows, 1)))
    last = f"d{number - 1:04d}"
    assert {name: row["cluster"] for name, row in found.items() if row["cluster_size"] > 1} == {
        "d0000": "d0000",
        last: "d0000",
    }
    assert [name for name, row in found.items() if not row["keep"]] == [last]


def test_a_cluster_is_counted_once_by_its_size(tmp_path: Path) -> None:
    texts = ["alone", *["two of them"] * 2, *["three of them"] * 3, *["four of them"] * 4]
    rows = [{"doc_id": f"d{n}", "thread_id": f"d{n}", "text": text} for n, text in enumerate(texts)]
    counts = Tally()
    for shard in layer_of(*search_for(tmp_path, write_documents(tmp_path / "documents", rows, 2)), tmp_path):
        counts.merge(shard.counts)
    assert counts.to_dict()["cluster_size"] == {"1": 1, "2": 1, "3-4": 2}


def test_texts_with_more_candidates_than_are_compared_are_counted(tmp_path: Path) -> None:
    """Answers that open with one form letter are kept, but for copies; the first 16 are compared with all before."""
    form = text(0, 30)
    texts = [*(f"{form} {text(number, 10)}" for number in range(1, 101)), text(101)] * 2
    rows = [{"doc_id": f"d{n:03d}", "thread_id": f"d{n:03d}", "text": said} for n, said in enumerate(texts)]
    counts = Tally()
    for shard in layer_of(*search_for(tmp_path, write_documents(tmp_path / "documents", rows, 2)), tmp_path):
        counts.merge(shard.counts)
    assert counts.to_dict()["rule"] == {"exact": 101}
    assert list(counts.to_dict()["capped"]) == ["kept"]
    assert 0 < counts.to_dict()["capped"]["kept"] <= 100 - 16


def test_components_in_rounds_change_nothing(tmp_path: Path, rows_and_wanted: Any) -> None:
    rows, wanted = rows_and_wanted
    documents, search = search_for(tmp_path, write_documents(tmp_path / "documents", rows, 3))
    search = replace(search, num_documents=5_000_000)
    assert search.num_edge_buckets == 3
    found = deduplicate((documents, search), workers=2)
    assert {name: (row["cluster"], row["reason"]) for name, row in found.items()} == wanted


@pytest.mark.parametrize("path", [shard_name(0, 3), shard_name(2, 2), "data/train-00000-of-00002.arrow"])
def test_a_shard_of_another_search_is_refused(tmp_path: Path, path: str) -> None:
    search = Search(SPEC, str(tmp_path), num_shards=2, num_documents=1)
    with pytest.raises(ValueError, match=rf"{path} is none of the 2 shards that near-duplicates are searched in"):
        read_texts(Shard(path, pa.table({"doc_id": ["a"], "title": [None], "text": ["x"], "created": [None]})), search)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_few_documents(tmp_path: Path, number: int) -> None:
    rows = [{"doc_id": f"d{n}", "thread_id": f"d{n}", "text": "the same text in both of them"} for n in range(number)]
    found = deduplicate(search_for(tmp_path, write_documents(tmp_path / "documents", rows, 2)))
    assert {row["cluster"] for row in found.values()} == ({"d0"} if number else set())


@pytest.mark.parametrize(
    ("size", "name"),
    [(1, "1"), (2, "2"), (3, "3-4"), (4, "3-4"), (5, "5-8"), (8, "5-8"), (9, "9-16"), (999, "513-1024")],
)
def test_size_classes(size: int, name: str) -> None:
    assert size_class(size) == name


def exact_jaccard(left: str, right: str) -> float:
    sets = [set(side.split()) for side in (left, right)]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def twins(name: str, num_words: int, edits: int, number: int) -> tuple[list[dict[str, Any]], list[float]]:
    """Pairs of texts that differ in so many words, spread evenly, and their Jaccard similarities."""
    rows, similar = [], []
    for pair in range(number):
        first = " ".join(f"{word}{name}" for word in text(10_000 + pair, num_words).split())
        second = first
        for edit in range(edits):
            second = edited(second, (2 * edit + 1) * num_words // (2 * edits))
        similar.append(exact_jaccard(first, second))
        for side, content in (("a", first), ("b", second)):
            doc_id = f"{name}-{pair:03d}-{side}"
            rows.append({"doc_id": doc_id, "thread_id": doc_id, "text": content})
    return rows, similar


def test_texts_are_found_as_the_curve_says_at_any_length(tmp_path: Path) -> None:
    """Of 240 words with 12 or 36 changed: as often as bands of their sets of words meet. Of 50 with five changed, and
    15 with one: nearly always."""
    kinds = {"near": (240, 12), "far": (240, 36), "fifty": (50, 5), "fifteen": (15, 1)}
    made = {name: twins(name, *kind, 200) for name, kind in kinds.items()}
    rows = [row for some, _ in made.values() for row in some]
    found = deduplicate(search_for(tmp_path, write_documents(tmp_path / "documents", rows, 3)))
    met = {name: sum(1 for key, row in found.items() if key.startswith(name + "-") and row["kept"]) for name in made}
    for name in ("near", "far"):
        expected = sum(map(SPEC.p_candidate, made[name][1]))
        assert abs(met[name] - expected) < 4 * (200 * 0.25) ** 0.5, f"{name}: {met[name]}, expected {expected:.0f}"
    assert met["far"] < met["near"]
    assert met["fifty"] >= 190
    assert met["fifteen"] >= 180
    assert {row["cluster_size"] for row in found.values()} <= {1, 2}


LAO = "ລົດໄຟອອກເວລາເກົ້າໂມງເຊົ້າໃຜມາຊ້າຕ້ອງລໍຖ້າຂະບວນຕໍ່ໄປເພາະບໍ່ມີໃຜເປີດປະຕູລໍຖ້າຄົນທີ່ແລ່ນລົງຂັ້ນໄດ"


def test_texts_of_any_share_of_a_script_without_spaces_are_found(tmp_path: Path) -> None:
    """From words alone to letters alone: with a word more, which makes the share another one, and a letter more."""
    texts = {}
    for words in range(0, 61, 15):
        texts[f"{words:02d}"] = original = " ".join([LAO[: 70 - words], *text(words, words).split()])
        texts[f"{words:02d}-word"], texts[f"{words:02d}-letter"] = f"{original} more", f"{original} ຂ"
    rows = [{"doc_id": name, "thread_id": name, "text": said} for name, said in texts.items()]
    shares = compared([said for name, said in texts.items() if "-" not in name]).unspaced
    assert shares[0] == 1.0
    assert np.all(np.diff(shares) < 0)
    assert shares[-1] < 0.2
    found = deduplicate(search_for(tmp_path, write_documents(tmp_path / "documents", rows, 2)))
    assert {row["cluster"][:2] for row in found.values()} == {name[:2] for name in texts}
    assert {row["cluster_size"] for row in found.values()} == {3}


def test_shards_that_are_missing_or_come_twice_are_told(tmp_path: Path) -> None:
    shards = [document_shard(pa.table({"doc_id": [f"d{n}"], "text": [text(n)]}), n, 3) for n in range(3)]
    for number, given in enumerate((shards[:2], [shards[0], shards[1], shards[1]])):
        search = Search(SPEC, str(tmp_path / str(number)), 3, 3)
        with (
            pytest.raises(Exception, match=r"were as many given, each once\?|is missing, and another came twice"),
            beam_pipeline() as p,
        ):
            _ = p | beam.Create(given) | Deduplicate(search)
