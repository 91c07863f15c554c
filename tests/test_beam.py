"""Steps as transforms that a Beam user composes: docs/beam.md runs, and tables give what datasets give."""

from __future__ import annotations

import json
import re
from pathlib import Path

import apache_beam as beam
import pytest

from pipelines import annotate, curriculum, pairs, tokenize
from pipelines.local.options import beam_pipeline
from tests.conftest import ROOT
from tests.forum import Row, post, write_documents, write_layers
from tests.laws import assert_sound
from tests.small_dataset import read_unfinished, some_build
from tests.small_tokenizer import small_encoder, write_small_tokenizer
from tests.test_langid import SENTENCES, train
from transforms.curriculum.index import IndexShards
from transforms.curriculum.layout import LayOut
from transforms.curriculum.mix import PlanStages, Recipe, Stage
from transforms.curriculum.pieces import CutPieces
from transforms.curriculum.positions import AssignPositions
from transforms.curriculum.sequences import AssembleShards
from transforms.datasets import shards
from transforms.datasets.dataset import Dataset
from transforms.datasets.schema import PAIRS, SPLITS, curriculum_schema, preference_schema, tokens_schema
from transforms.dedup.graph import Deduplicate
from transforms.dedup.search import Search
from transforms.dedup.spec import MinHashSpec
from transforms.io.counts import WriteCounts, read_counts
from transforms.io.read import JoinLayers, ReadShards
from transforms.io.shard import Shard
from transforms.io.write import WriteShards
from transforms.layers import duplicates, split
from transforms.layers.annotate import Annotate
from transforms.layers.kinds import settings_of
from transforms.layers.split import SplitSettings
from transforms.pairs.rule import PairRule
from transforms.pairs.shard import PairsFromShard
from transforms.shuffle.regroup import Regroup
from transforms.tokens.documents import EncodeDocuments
from transforms.tokens.groups import EncodeGroups

RULE = PairRule("any", 1, "score")
RECIPE = Recipe("two", 1, 1, (Stage("all", 64, share_of_pool=0.5, shards=2), Stage("rest", 32, share_of_pool=0.4)))


def rows() -> list[Row]:
    """Sixty threads of a question and three answers; the last answer of every fifth thread is that of the first."""
    found = []
    for thread in range(0, 240, 4):
        for place, kind in enumerate(("question", "answer", "answer", "answer")):
            seed = 3 if place == 3 and thread % 20 == 0 else thread + place
            text = " ".join(f"word{(37 * seed + place_in_text**2) % 997}" for place_in_text in range(12))
            found.append(post(thread + place, kind, thread, text, score=place))
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    posts = rows()
    write_documents(tmp_path / "documents", [posts[:80], [], posts[80:]])
    write_small_tokenizer(tmp_path / "tokenizer")
    return tmp_path


def made_by_steps(folder: Path) -> dict[str, Dataset]:
    """Every dataset as the commands make it."""
    at = {name: str(folder / name) for name in ("documents", "tokenizer", "layers", "pairs", "tokens", "preference")}
    write_layers(folder / "layers", folder / "documents")  # for its languages
    (folder / "own").mkdir()
    (folder / "own" / "language").symlink_to(folder / "layers" / "language")
    annotate.run(at["documents"], str(folder / "own"), settings_of({"duplicates": None, "split": None}, "here"))
    for name in ("duplicates", "split"):
        (folder / "layers" / name).rename(folder / f"{name}-unused")
        (folder / "own" / name).rename(folder / "layers" / name)
    pairs.run(at["documents"], at["layers"], at["pairs"], RULE)
    tokenize.run(at["documents"], at["tokenizer"], at["tokens"], at["layers"])
    tokenize.run(at["pairs"], at["tokenizer"], at["preference"])
    curriculum.run(at["tokens"], at["layers"], str(folder / "curriculum"), RECIPE)
    found = {name: Dataset.open(str(folder / name)) for name in ("pairs", "tokens", "preference", "curriculum")}
    return found | {name: Dataset.open(str(folder / "layers" / name)) for name in ("language", "duplicates", "split")}


def test_a_pipeline_of_tables_makes_what_the_steps_make(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All steps in one graph, over tables in memory: the rows and counts are those of the datasets."""
    wanted = made_by_steps(folder)
    monkeypatch.setattr(shards, "BATCH_ROWS", 7)  # tables are cut, and not where those of the datasets were
    dataset = Dataset.open(str(folder / "documents"))
    tables = [Shard(path, Shard(path, dataset).read()) for path in dataset.paths]
    known = [Shard(path, Shard(path, wanted["language"]).read()) for path in dataset.paths]
    encoder = small_encoder(folder / "tokenizer")
    token_type, at, scratch = encoder.token_type, str(folder / "tokenizer"), str(folder / "scratch")
    builds = {name: some_build(folder / f"composed-{name}", name) for name in wanted}

    with beam_pipeline() as p:
        documents = p | "Documents" >> beam.Create(tables)
        layers = {
            "language": p | "Languages" >> beam.Create(known),
            "duplicates": (documents, {"language": p | "Known" >> beam.Create(known)})
            | "WithLanguages" >> JoinLayers()
            | Deduplicate(Search(MinHashSpec(), f"{scratch}/search", len(tables), 0)),
            "split": documents | Annotate(split.LAYER, SplitSettings()),
        }
        described = (documents, layers) | "Described" >> JoinLayers()
        paired = described | PairsFromShard(RULE)
        tokens = described | EncodeDocuments(at)
        pool = (tokens, layers) | "Pool" >> JoinLayers()
        indexed, offered = pool | IndexShards(RECIPE)
        layouts, used = (indexed, offered | PlanStages(RECIPE)) | LayOut(RECIPE)
        _ = (offered, used) | WriteCounts(scratch)
        sequences = (
            (pool, layouts | AssignPositions(RECIPE))
            | CutPieces(token_type)
            | Regroup(f"{scratch}/regroup", RECIPE.num_shards)
            | AssembleShards(RECIPE, token_type)
        )
        for name, schema, ids, made in (
            ("duplicates", duplicates.SCHEMA, "doc_id", layers["duplicates"]),
            ("split", split.SCHEMA, "doc_id", layers["split"]),
            ("pairs", PAIRS, "pair_id", paired),
            ("tokens", tokens_schema(token_type), "doc_id", tokens),
            ("preference", preference_schema(token_type), "group_id", paired | EncodeGroups(at)),
            ("curriculum", curriculum_schema(token_type), None, sequences),
        ):
            assert made.element_type is Shard, f"Beam pickles the tables of {name} to know their size"
            _ = made | f"Write{name}" >> WriteShards(builds[name], schema, ids)

    for name in ("duplicates", "split", "pairs", "tokens", "preference", "curriculum"):
        for file in wanted[name].manifest.data_files:
            found = builds[name].finished(file.path)
            assert found is not None, f"{name} lacks {file.path}"
            assert (found.rows, found.ids_sha256, found.counts) == (file.rows, file.ids_sha256, file.counts), name
            theirs = Shard(file.path, wanted[name]).read()
            assert read_unfinished(builds[name], file.path).to_pylist() == theirs.to_pylist(), name
    assert read_counts(scratch) == wanted["curriculum"].manifest.whole
    assert wanted["pairs"].manifest.rows > 20
    assert wanted["curriculum"].manifest.rows > 20


def test_shards_that_are_finished_are_not_made_again(folder: Path) -> None:
    """`but_for` leaves out the named shards of what has to see all of its input."""
    dataset = Dataset.open(str(folder / "documents"))
    build = some_build(folder / "layer", "duplicates")
    first, *others = dataset.paths
    with beam_pipeline() as p:
        search = Search(MinHashSpec(across_languages=True), str(folder / "scratch"), len(dataset.paths), 0)
        _ = (
            p
            | ReadShards(dataset)
            | Deduplicate(search, but_for=[first])
            | WriteShards(build, duplicates.SCHEMA, "doc_id", beside=dataset)
        )
    assert build.finished(first) is None
    assert all(build.finished(path) for path in others)


# --------------------------------------------------------------------------------------------- the page


BLOCKS = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs" / "beam.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def where_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the programs read."""
    (tmp_path / "models").mkdir()
    train(tmp_path, {key: key for key in SENTENCES}).rename(tmp_path / "models" / "language.ftz")
    (tmp_path / "builds" / "beer").mkdir(parents=True)
    write_documents(tmp_path / "builds" / "beer" / "documents", [rows()[:80], rows()[80:]])
    write_small_tokenizer(tmp_path / "builds" / "beer" / "tokenizer")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_block(code: str) -> None:
    exec(compile(code, "docs/beam.md", "exec"), {"__name__": "docs_beam"})


def test_the_first_program_of_the_page(where_the_page_runs: Path) -> None:
    run_block(BLOCKS[0])
    (pair,) = map(json.loads, (where_the_page_runs / "pairs.jsonl").read_text("utf-8").splitlines())
    assert (pair["pair_id"], pair["margin"]) == ("mine:1.1>mine:1.2", 5), "the other thread is a tie"
    assert pair["chosen"] == [{"role": "assistant", "content": "Until it has doubled in size."}]
    assert pair["prompt"][0]["content"].startswith("How long should a dough rest?\n\nHow long should")
    assert pair["split"] in SPLITS


def test_the_second_program_of_the_page(where_the_page_runs: Path) -> None:
    assert len(BLOCKS) == 2, "each program of docs/beam.md is run by a test"
    run_block(BLOCKS[1])
    manifest = assert_sound(where_the_page_runs / "questions")
    assert (manifest.kind, manifest.rows) == ("tokens", 60)
    stamps = {path: path.stat().st_mtime_ns for path in (where_the_page_runs / "questions" / "data").iterdir()}
    run_block(BLOCKS[1])
    assert all(path.stat().st_mtime_ns == when for path, when in stamps.items()), "a second run does nothing"


def test_every_transform_is_on_the_page() -> None:
    text = (ROOT / "docs" / "beam.md").read_text("utf-8")
    table = text.split("\n\n")[3]
    rooms = [path for room in ("io", "layers", "pairs", "tokens", "curriculum")
             for path in (ROOT / "transforms" / room).glob("*.py")]  # fmt: skip
    named = {
        name for path in rooms for name in re.findall(r"^class ([A-Z]\w+)\(beam\.PTransform", path.read_text(), re.M)
    }
    assert named
    assert not {name for name in named if f"`{name}`" not in table and f"`{name}" not in table}
