"""Languages and signals: what the pipeline costs beside the bare model, and beside datatrove's equivalent steps.

    python -m benchmarks.languages [--megabytes 20] [--rounds 3] [--language-model default]

- Naming languages: the model's stages alone, in a bare loop over lines that were stripped before; the same texts
  through the detector, through the language layer (its rows, in memory), and through `agora annotate`, which reads
  documents and writes the layer. On forum posts, and on sentences of the 119 languages where those lie (of the sample
  elsewhere).
- Describing documents: repair, language and signals, ours and datatrove's (`peer_quality.py`), on posts in memory.
  datatrove reads lid.176.ftz, from the place that --peer-model names; it is measured with ours as well.
- Memory: what a process holds more once it has loaded the model and named the languages of some texts.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks import planted
from benchmarks.generate import source_files
from benchmarks.harness import Contender, Run, Timer, alternate, announce, comparison, run_once, timed, write_result
from benchmarks.peers import peer_python, peer_version
from pipelines import annotate, ingest
from pipelines.ingest_plan import IngestSettings
from transforms.classifiers.fasttext_file import LABEL
from transforms.datasets import shards
from transforms.datasets.building import Build
from transforms.datasets.dataset import Dataset
from transforms.datasets.manifest import DatasetSpec
from transforms.datasets.names import shard_name
from transforms.datasets.schema import DOCUMENTS
from transforms.datasets.standing import Existing
from transforms.datasets.step import Wanted, make_one
from transforms.datasets.texts import full_texts
from transforms.io.shard import Shard
from transforms.langid.detect import Detector
from transforms.langid.model import DEFAULT, SHIPPED, Model, ModelHandle
from transforms.langid.own import OwnModel
from transforms.langid.readable import readable
from transforms.layers import kinds
from transforms.layers.annotate import annotate as describe
from transforms.layers.layer import Layer
from transforms.sources.inputs import Input
from transforms.text.clean import repair

_ROOT = Path(__file__).parent.parent
_FLORES = _ROOT.parent / "shared" / "data" / "lid" / "flores-part-A"
_CORE = _ROOT / "examples" / "core"
_BATCH = 1000  # texts at a time, as the layer takes about as many
_NUM_SHARDS = 4
_DESCRIBED = 0.1  # of the posts are described: datatrove takes 10 seconds a megabyte

_NAMING = {
    "bare": "the model alone, lines stripped before",
    "detect": "Agora, the detector",
    "layer": "Agora, the language layer in memory",
    "annotate": "Agora, agora annotate",
}
_OURS, _OURS_176 = "Agora", "Agora, with lid.176.ftz"
_PEERS = {
    ("spacy", "all"): "datatrove, every signal of every document, stock English words (spaCy)",
    ("plain", "all"): "datatrove, every signal of every document, words by regular expression",
    ("spacy", "stock"): "datatrove, its own thresholds, stock English words (spaCy)",
    ("plain", "stock"): "datatrove, its own thresholds, words by regular expression",
}


# ------------------------------------------------------------------------------------------- documents


def _write_sentences(folder: Path) -> None:
    """Sentences as documents, those of each language beside those of the others."""
    source = _FLORES if _FLORES.is_dir() else _CORE
    found = sorted(
        (f"{number:05d}:{file.stem}", line)
        for file in source.glob("*.txt")
        for number, line in enumerate(file.read_text("utf-8").splitlines())
        if readable(line)
    )
    folder.mkdir()
    planted.write_dataset(found, str(folder / "documents"), _NUM_SHARDS)
    planted.write_jsonl(found, folder / "documents.jsonl")


def _write_posts(folder: Path, megabytes: float) -> None:
    """The posts of dumps as `agora ingest` makes documents of them, again and again in shards of their own.

    `generate` would exchange words, and mix languages.
    """
    inputs = [Input(str(file), "stackexchange", f"{file.parent.name}.example.org") for file in source_files()]
    ingest.run(inputs, str(folder / "once"), IngestSettings(num_shards=1))
    once = Dataset.open(str(folder / "once"))
    posts = shards.read_shard(once, once.paths[0])
    texts = full_texts(posts).to_pylist()
    posts = posts.filter(pa.array([bool(readable(text)) for text in texts]))
    texts = full_texts(posts).to_pylist()
    copies = max(1, round(megabytes * 1e6 / sum(len(text.encode()) for text in texts)))
    paths = [shard_name(index, copies) for index in range(copies)]
    ids = {name: posts.column(name).to_pylist() for name in ("doc_id", "thread_id")}

    def write(build: Build) -> None:
        for index, path in enumerate(paths):
            table = posts
            for name, values in ids.items():
                column = pa.array([f"{value}:{index:05d}" for value in values], pa.string())
                table = table.set_column(table.schema.get_field_index(name), name, column)
            shards.write_shard(build, path, DOCUMENTS, [table], "doc_id")

    spec = DatasetSpec("documents", {"benchmark": "languages", "copies": copies})
    make_one(Wanted(str(folder / "documents"), spec, paths), Existing.REFUSE, write)
    pairs = list(zip(ids["doc_id"], texts, strict=True))
    found = [(f"{doc_id}:{index:05d}", text) for index in range(copies) for doc_id, text in pairs]
    planted.write_jsonl(found, folder / "documents.jsonl")


def _texts(folder: Path) -> list[str]:
    with (folder / "documents.jsonl").open(encoding="utf-8") as file:
        return [json.loads(line)["text"] for line in file]


def _tables(folder: Path) -> Iterator[Shard]:
    """The documents, held in memory."""
    dataset = Dataset.open(str(folder / "documents"))
    for path in dataset.paths:
        yield Shard(path, shards.read_shard(dataset, path))


# ------------------------------------------------------------------------------------------- contenders


def _settings(model: str) -> Mapping[str, object]:
    return kinds.settings_of({"language": model}, "the benchmark")


def _opened(name: str, settings: Mapping[str, object]) -> tuple[Layer[Any, Any], Any, Any]:
    layer = kinds.LAYERS[name]
    return layer, settings[name], layer.open(settings[name], layer.identity(settings[name]))


def _bare(folder: Path, model: str) -> Timer:
    stages = _stages(ModelHandle.of(model).load())
    lines = [readable(text) for text in _texts(folder)]
    with timed() as timer:
        _in_batches(stages, lines)
    return timer


def _stages(model: Model) -> Callable[[Sequence[str]], object]:
    """What the model cannot do without, on a batch of lines, and nothing is made of: fastText's best labels, in one
    call; of our own model also the scores of the lines whose best label is of a group."""
    own = isinstance(model, OwnModel)
    predict = (model._classifier if own else model._model).f.multilinePredict
    groups = [({LABEL + code for code in group.codes}, group) for group in (model._groups if own else ())]

    def run(lines: Sequence[str]) -> None:
        labels, _ = predict([f"{line}\n" for line in lines], 5, 0.01, "strict")
        for members, group in groups:
            if torn := [line for line, found in zip(lines, labels, strict=True) if found and found[0] in members]:
                group.scores(torn)

    return run


def _detect(folder: Path, model: str) -> Timer:
    detector = Detector(ModelHandle.of(model).load())
    texts = _texts(folder)
    with timed() as timer:
        _in_batches(detector.detect, texts)
    return timer


def _in_batches(work: Callable[[Sequence[str]], object], texts: Sequence[str]) -> None:
    left = iter(texts)
    while batch := list(islice(left, _BATCH)):
        work(batch)


def _layer(folder: Path, model: str) -> Timer:
    layer, settings, means = _opened("language", _settings(model))
    documents = list(_tables(folder))
    with timed() as timer:
        for shard in documents:
            describe(shard, layer, settings, means)
    return timer


def _annotate(folder: Path, model: str) -> Timer:
    layers = folder / "layers"
    shutil.rmtree(layers, ignore_errors=True)
    with timed() as timer:
        annotate.run(str(folder / "documents"), str(layers), _settings(model))
    return timer


def _described(folder: Path, model: str) -> Timer:
    """Repair, language and signals of documents in memory."""
    settings = kinds.settings_of({"language": model, "quality": None}, "the benchmark")
    layers = [_opened(name, settings) for name in settings]
    documents = list(_tables(folder))

    def work(shard: Shard) -> None:
        table = shard.read()
        repaired = pa.array([repair(text) for text in table.column("text").to_pylist()], pa.string())
        clean = table.set_column(table.schema.get_field_index("text"), "text", repaired)
        found: dict[str, pa.Table] = {}
        for layer, chosen, means in layers:
            found[layer.name] = describe(Shard(shard.path, clean, dict(found)), layer, chosen, means).read()

    work(Shard(documents[0].path, documents[0].read().slice(0, 1)))  # as the peer: makes tables outside of the timing
    with timed() as timer:
        for shard in documents:
            work(shard)
    return timer


def _memory(folder: Path, model: str) -> Timer:
    """Not a race: prints what the process held before and after."""
    texts = _texts(folder)[:_BATCH]
    before = _resident_mb()
    with timed() as timer:
        detector = Detector(ModelHandle.of(model).load())
        detector.detect(texts)
    announce(timer, 1, 1, held_mb=round(_resident_mb() - before, 1))
    raise SystemExit


def _resident_mb() -> float:
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


_RUNS: Mapping[str, Callable[[Path, str], Timer]] = {
    "bare": _bare,
    "detect": _detect,
    "layer": _layer,
    "annotate": _annotate,
    "described": _described,
    "memory": _memory,
}


def _contender(name: str, kind: str, folder: Path, model: str) -> Contender:
    command = [sys.executable, "-m", "benchmarks.languages", "--run", kind, "--folder", str(folder)]
    return Contender(name, [*command, "--language-model", model])


# ------------------------------------------------------------------------------------------- the page


def _naming(title: str, folder: Path, model: str, rounds: int) -> list[str]:
    contenders = [_contender(name, kind, folder, model) for kind, name in _NAMING.items()]
    runs = alternate(contenders, rounds)
    return [
        "",
        f"## Naming languages: {title}",
        "",
        _size(runs),
        "",
        *comparison(runs, _NAMING["bare"], "times the model alone"),
        "",
        _shares(runs),
    ]


def _size(runs: Mapping[str, Sequence[Run]]) -> str:
    first = next(iter(runs.values()))[0]
    return f"{first.records:,} texts, {first.bytes / 1e6:.1f} MB."


def _shares(runs: Mapping[str, Sequence[Run]]) -> str:
    """The speed of each against the bare model's: of rounds, the medians of CPU seconds."""
    bare = sorted(run.cpu_s for run in runs[_NAMING["bare"]])[len(runs[_NAMING["bare"]]) // 2]
    told = [
        f"{name.removeprefix('Agora, ')} {bare / sorted(run.cpu_s for run in its)[len(its) // 2]:.0%}"
        for name, its in runs.items()
        if name != _NAMING["bare"]
    ]
    return f"Of the speed of the model alone: {', '.join(told)}."


def _compare(megabytes: float, rounds: int, model: str, peer_model: str, folder: Path) -> Path:
    posts, few, sentences = (folder / name for name in ("posts", "few", "sentences"))
    _write_posts(posts, megabytes)
    _write_posts(few, megabytes * _DESCRIBED)
    _write_sentences(sentences)
    memory = run_once(_contender("memory", "memory", sentences, model)).extra
    file = SHIPPED if model == DEFAULT else Path(model)
    body = [
        f"One process each, {rounds} rounds in turn, medians (CPU s: least–most). Model: {file.name}, "
        f"{file.stat().st_size / 1e6:.1f} MB; a process that has loaded it and named the languages of {_BATCH:,} texts "
        f"holds {memory['held_mb']} MB more.",
    ]
    body += _naming("forum posts", posts, model, rounds)
    body += _naming("sentences", sentences, model, rounds)
    peers = [
        Contender(name, [peer_python(), "benchmarks/peer_quality.py", str(few / "documents.jsonl"), peer_model, *how])
        for how, name in _PEERS.items()
    ]
    ours = [_contender(_OURS, "described", few, model), _contender(_OURS_176, "described", few, peer_model)]
    runs = alternate([*ours, *peers], rounds)
    body += ["", "## Describing documents: repair, language, signals", "", _size(runs), "", *comparison(runs, _OURS)]
    versions = [f"{package} {peer_version(package)}" for package in ("datatrove", "fasttext-numpy2-wheel", "spacy")]
    packages = ["apache-beam", "pyarrow", "numpy", "fasttext-community", "ftfy"]
    return write_result("languages", "Languages and signals", body, packages, versions)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--language-model", default=DEFAULT)
    parser.add_argument("--peer-model", default=str(_ROOT / "models" / "lid.176.ftz"))
    parser.add_argument("--run", choices=[*_RUNS], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        timer = _RUNS[arguments.run](arguments.folder, arguments.language_model)
        texts = _texts(arguments.folder)
        announce(timer, sum(len(text.encode()) for text in texts), len(texts))
        return
    with tempfile.TemporaryDirectory(prefix="agora-bench-") as folder:
        where = Path(folder)
        _compare(arguments.megabytes, arguments.rounds, arguments.language_model, arguments.peer_model, where)


if __name__ == "__main__":
    main()
