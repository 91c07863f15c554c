"""Layers as datasets: beside the documents, deterministic, resumable, each rebuilt alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines import annotate
from tests import laws
from tests.small_dataset import dataset_of, read_file, with_content
from tests.test_langid import SENTENCES, train
from transforms.datasets import shards, texts
from transforms.datasets.align import check_aligned
from transforms.datasets.dataset import Dataset
from transforms.datasets.fates import Tally
from transforms.datasets.ids import bucket_of
from transforms.datasets.manifest import DatasetSpec, ShardFile, load_manifest
from transforms.datasets.names import shard_name
from transforms.datasets.opening import Opened
from transforms.datasets.schema import DOCUMENTS
from transforms.datasets.standing import Existing
from transforms.dedup.spec import MinHashSpec
from transforms.io.shard import Shard
from transforms.layers import duplicates, split
from transforms.layers.annotate import annotate as annotate_shard
from transforms.layers.kinds import LAYERS, settings_of
from transforms.layers.layer import Batches
from transforms.layers.split import SplitSettings

Settings = dict[str, Any]  # by layer

DEFAULTS: Mapping[str, Any] = {
    "kind": "answer", "tags": [], "flags": [], "attributes": [], "source": "test", "site": "test.example.org",
    "text": "", "title": None,
}  # fmt: skip


def write_documents(place: Path, rows: Sequence[Mapping[str, Any]], num_shards: int, sort: bool = True) -> str:
    """A documents dataset of these rows; columns that a row does not name get a default. Returns its place."""
    spec = DatasetSpec("documents", {"version": 1})
    names = [shard_name(index, num_shards) for index in range(num_shards)]
    held: list[list[dict[str, Any]]] = [[] for _ in names]
    for row in rows:
        whole = {field.name: DEFAULTS.get(field.name) for field in DOCUMENTS} | dict(row)
        held[bucket_of("shard", row["thread_id"], num_shards)].append(whole)
    tables = {}
    for name, shard in zip(names, held, strict=True):
        if sort:
            shard.sort(key=lambda row: (row["thread_id"], row["doc_id"]))
        tables[name] = pa.Table.from_pylist(shard, schema=DOCUMENTS)
    dataset_of(place, spec, tables)
    return str(place)


def forum(number: int = 300) -> list[dict[str, Any]]:
    """Posts in five languages, some of them twice."""
    lines = [line for key in sorted(SENTENCES) for line in SENTENCES[key]]
    rows = []
    for index in range(number):
        line = lines[index % len(lines)]
        body = line if index % 5 else f"{line} {index} {line} ({index})"
        rows.append({"doc_id": f"test:{index:04d}", "thread_id": f"test:{index // 3:04d}", "text": body})
    return rows


def only(settings: Settings, name: str) -> Settings:
    return {name: settings[name]}


def make_needed(documents: str, output: Path, settings: Settings, name: str) -> None:
    """The layers that a layer is made from, and those that these are made from."""
    needed: set[str] = set()
    waiting = [name]
    while waiting:
        layer = waiting.pop()
        found = set(LAYERS[layer].needs(settings[layer])) - needed
        needed |= found
        waiting += found
    if needed:
        annotate.run(documents, str(output), {other: settings[other] for other in needed})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(train(tmp_path_factory.mktemp("model"), {key: key for key in SENTENCES}))


@pytest.fixture
def settings(model: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    benchmark = tmp_path_factory.mktemp("benchmark") / "test.jsonl"
    benchmark.write_text(
        '{"question": "How many loaves are baked of the dough in the cold kitchen?", "answer": "#### 3"}'
    )
    told = {"language": model, "contamination": str(benchmark)}
    return settings_of(dict.fromkeys(LAYERS) | told, "here")


def read(place: Path, name: str) -> list[dict[str, Any]]:
    manifest = load_manifest(str(place / name), name)
    return [row for file in manifest.data_files for row in read_file(str(place / name), file.path).to_pylist()]


def test_every_layer_stands_beside_the_documents(tmp_path: Path, settings: Settings) -> None:
    documents = write_documents(tmp_path / "documents", forum(), 3)
    manifests = annotate.run(documents, str(tmp_path / "layers"), settings)
    described = load_manifest(documents)
    assert list(manifests) == list(LAYERS)
    for name, manifest in manifests.items():
        laws.assert_sound(tmp_path / "layers" / name)
        check_aligned(described, manifest, name)
        needs = LAYERS[name].needs(LAYERS[name].settle(settings[name], manifests.__getitem__))
        needed = {f"layers/{other}": manifests[other].digest for other in needs}
        assert manifest.parents == {"documents": described.digest, **needed}
        assert manifest.counts["documents"]["in"] == 300
    for name in ("language", "quality", "duplicates"):
        counts = manifests[name].counts
        laws.assert_conserved(300, counts["documents"]["kept"], dict(counts.get("drop", {})))
        rows = read(tmp_path / "layers", name)
        assert sum(row["keep"] for row in rows) == counts["documents"]["kept"]
        assert all(row["keep"] == (row["reason"] is None) for row in rows)
    assert sum(manifests["split"].counts["split"].values()) == 300
    assert sum(manifests["language"].counts["language"].values()) == manifests["language"].counts["documents"]["kept"]
    threads: dict[str, set[str]] = {}
    for row in read(tmp_path / "layers", "split"):
        threads.setdefault(str(int(row["doc_id"].split(":")[1]) // 3), set()).add(row["split"])
    assert all(len(splits) == 1 for splits in threads.values())


def test_workers_change_no_byte_and_a_second_run_does_nothing(tmp_path: Path, settings: Settings) -> None:
    documents = write_documents(tmp_path / "documents", forum(), 3)
    annotate.run(documents, str(tmp_path / "one"), settings)
    annotate.run(documents, str(tmp_path / "two"), settings, workers=2)
    laws.assert_same_bytes(tmp_path / "one", tmp_path / "two")
    laws.assert_idempotent(tmp_path / "one", lambda: annotate.run(documents, str(tmp_path / "one"), settings))


def test_order_of_rows_and_number_of_shards_change_no_row(tmp_path: Path, settings: Settings) -> None:
    found = []
    for number, rows in ((2, forum()), (5, forum()[::-1])):
        documents = write_documents(tmp_path / f"documents{number}", rows, number)
        annotate.run(documents, str(tmp_path / f"layers{number}"), settings)
        found.append(
            [sorted(read(tmp_path / f"layers{number}", name), key=lambda row: row["doc_id"]) for name in LAYERS]
        )
    assert found[0] == found[1]


def test_a_layer_is_rebuilt_alone_and_only_when_asked(tmp_path: Path, settings: Settings) -> None:
    documents, output = write_documents(tmp_path / "documents", forum(60), 2), str(tmp_path / "layers")
    annotate.run(documents, output, settings)
    others = laws.files_of(tmp_path / "layers" / "language")
    changed = settings | {"duplicates": MinHashSpec(bands=20)}
    laws.assert_refuses_other(lambda: annotate.run(documents, output, changed))
    manifests = annotate.run(documents, output, only(changed, "duplicates"), existing=Existing.REPLACE)
    assert manifests["duplicates"].settings["bands"] == 20
    assert laws.files_of(tmp_path / "layers" / "language") == others


@pytest.mark.parametrize("name", LAYERS)
def test_an_interrupted_build_is_finished(
    tmp_path: Path, settings: Settings, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = write_documents(tmp_path / "documents", forum(120), 4)
    for place in ("whole", "cut"):
        make_needed(documents, tmp_path / place, settings, name)
    annotate.run(documents, str(tmp_path / "whole"), only(settings, name))
    write_shard, done = shards.write_shard, []

    def stop_at_the_third(*arguments: Any) -> ShardFile:
        if len(done) == 2:
            raise RuntimeError("killed here")
        done.append(write_shard(*arguments))
        return done[-1]

    with monkeypatch.context() as patch:
        patch.setattr(shards, "write_shard", stop_at_the_third)
        with pytest.raises(RuntimeError, match="killed here"):
            annotate.run(documents, str(tmp_path / "cut"), only(settings, name))
    with pytest.raises(ValueError, match="did not finish"):
        load_manifest(str(tmp_path / "cut" / name))
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "cut" / name / "data").iterdir()}
    assert len(written) == 2
    annotate.run(documents, str(tmp_path / "cut"), only(settings, name))
    assert all(path.stat().st_mtime_ns == when for path, when in written.items())
    laws.assert_same_bytes(tmp_path / "whole", tmp_path / "cut")


def test_a_build_killed_before_its_commit_is_committed(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = write_documents(tmp_path / "documents", forum(30), 2)
    annotate.run(documents, str(tmp_path / "whole"), settings)

    commit = Opened.commit

    def killed(opened: Opened, *more: Any, **named: Any) -> Any:
        if opened.spec.kind == "duplicates":
            raise RuntimeError("killed here")
        return commit(opened, *more, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Opened, "commit", killed)
        with pytest.raises(RuntimeError, match="killed here"):
            annotate.run(documents, str(tmp_path / "cut"), settings)
    shutil.rmtree(tmp_path / "cut" / "duplicates" / "scratch")
    annotate.run(documents, str(tmp_path / "cut"), settings)
    laws.assert_same_bytes(tmp_path / "whole", tmp_path / "cut")


def test_documents_that_changed_are_refused(tmp_path: Path, settings: Settings) -> None:
    first = write_documents(tmp_path / "first", forum(60), 1)
    second = write_documents(tmp_path / "second", forum(61)[1:], 1)
    with_content(tmp_path / "first", shard_name(0, 1), (tmp_path / "second" / shard_name(0, 1)).read_bytes())
    assert load_manifest(first).rows == load_manifest(second).rows
    with pytest.raises(Exception, match="these changed while they were read; run it again"):
        annotate.run(first, str(tmp_path / "layers"), only(settings, "split"))


@pytest.mark.parametrize("wrong", [lambda table: table.slice(1), lambda table: table.take([1, 0, 2])])
def test_a_layer_of_other_rows_is_refused(wrong: Callable[[pa.Table], pa.Table]) -> None:
    """Whatever the documents are: no dataset is needed to tell."""

    def rows(batches: Batches, settings: SplitSettings) -> tuple[pa.Table, Tally]:
        table, counts = split.rows(batches, settings)
        return wrong(table), counts

    documents = Shard(shard_name(0, 1), pa.table({"doc_id": ["a", "b", "c"], "thread_id": ["a", "a", "c"]}))
    assert annotate_shard(documents, split.LAYER, SplitSettings(), SplitSettings()).counts["documents"] == {"in": 3}
    with pytest.raises(ValueError, match="the split layer does not stand row for row beside the documents"):
        annotate_shard(documents, replace(split.LAYER, rows=rows), SplitSettings(), SplitSettings())


def test_a_layer_that_needs_all_documents_is_not_made_shard_by_shard() -> None:
    with pytest.raises(ValueError, match="the duplicates layer is not made shard by shard"):
        annotate_shard(Shard(shard_name(0, 1), pa.table({"doc_id": ["a"]})), duplicates.LAYER, MinHashSpec(), None)


def test_what_cannot_be_built_is_said_at_once(tmp_path: Path, settings: Settings) -> None:
    documents, output = write_documents(tmp_path / "documents", forum(3), 1), str(tmp_path / "layers")
    absent = settings_of({"language": str(tmp_path / "no.ftz")}, "here")
    with pytest.raises(ValueError, match="no language model at"):
        annotate.run(documents, output, absent)
    with pytest.raises(ValueError, match="no dataset at"):
        annotate.run(str(tmp_path / "nowhere"), output, only(settings, "split"))
    assert not (tmp_path / "layers").exists()


def test_no_documents_make_empty_layers(tmp_path: Path, settings: Settings) -> None:
    documents = write_documents(tmp_path / "documents", [], 2)
    for manifest in annotate.run(documents, str(tmp_path / "layers"), settings).values():
        assert manifest.rows == 0
        assert manifest.counts["documents"] in ({"in": 0}, {"in": 0, "kept": 0})


def test_texts_are_cut_into_bounded_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "_BATCH_CHARS", 100)
    rows = [{"doc_id": f"{n:03d}", "thread_id": f"{n:03d}", "text": "x" * (n * 7 % 150)} for n in range(80)]
    rows[3]["title"] = "title"
    documents = write_documents(tmp_path / "documents", rows, 1)
    batches = list(texts.iter_texts(shards.iter_batches(Dataset.open(documents), shard_name(0, 1), texts.TEXT_COLUMNS)))
    assert [name for ids, _ in batches for name in ids] == [row["doc_id"] for row in rows]
    assert [text for _, found in batches for text in found] == [
        f"title\n\n{row['text']}" if "title" in row else row["text"] for row in rows
    ]
    assert all(len(found) == 1 or sum(map(len, found)) <= 100 for _, found in batches)
