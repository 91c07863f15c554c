"""Where the time goes: every data step on one generated dump, each in a process of its own, with its busiest places.

    python -m benchmarks.steps [--megabytes 20] [--language-model default]

Without a language model the page says so and steps that need the language layer are left out.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.generate import enlarge
from benchmarks.harness import Contender, announce, run_once, timed, write_result
from benchmarks.sampler import sampled
from pipelines import annotate, curriculum, ingest, pairs, tokenize, tokenizer
from pipelines.tokenizer import TokenizerSettings
from transforms.curriculum.mix import Recipe
from transforms.datasets import strict_yaml
from transforms.datasets.manifest import Manifest
from transforms.layers import kinds
from transforms.pairs.rule import PairRule
from transforms.sources.inputs import Input

_ROOT = Path(__file__).parent.parent
_SHOWN_PLACES = 6
_NEED_LANGUAGE = ("language", "quality", "pairs", "tokenizer", "tokenize documents", "tokenize pairs", "curriculum")


def _annotate(folder: Path, layer: str, model: str) -> Manifest:
    settings = {layer: kinds.settings_of({layer: model if layer == "language" else None}, "the benchmark")[layer]}
    return annotate.run(str(folder / "documents"), str(folder / "layers"), settings)[layer]


def _steps(folder: Path, model: str) -> Mapping[str, Callable[[], Manifest]]:
    """Every step by name, in order; each reads what those before it left in the folder."""
    at = {name: str(folder / name) for name in ("documents", "layers", "pairs", "tokenizer", "tokens", "preference")}
    return {
        "ingest": lambda: ingest.run(
            [Input(str(folder / "Posts.xml"), "stackexchange", "bench.example.org")], at["documents"]
        ),
        "language": lambda: _annotate(folder, "language", model),
        "quality": lambda: _annotate(folder, "quality", model),
        "duplicates": lambda: _annotate(folder, "duplicates", model),
        "split": lambda: _annotate(folder, "split", model),
        "pairs": lambda: pairs.run(
            at["documents"], at["layers"], at["pairs"], strict_yaml.load_named(PairRule, "worldpm", pairs.RULES)
        ),
        "tokenizer": lambda: tokenizer.run(
            at["documents"], at["layers"], at["tokenizer"], TokenizerSettings(vocab_size=8000)
        ),
        "tokenize documents": lambda: tokenize.run(at["documents"], at["tokenizer"], at["tokens"], at["layers"]),
        "tokenize pairs": lambda: tokenize.run(at["pairs"], at["tokenizer"], at["preference"]),
        "curriculum": lambda: curriculum.run(
            at["tokens"],
            at["layers"],
            str(folder / "curriculum"),
            strict_yaml.load_named(Recipe, "demo", _ROOT / "pipelines" / "recipes"),
        ),
    }


def _run_step(name: str, folder: Path, model: str) -> None:
    """One step, timed and sampled; figures are per byte of the dump."""
    step = _steps(folder, model)[name]
    with timed() as timer, sampled() as samples:
        manifest = step()
    announce(timer, (folder / "Posts.xml").stat().st_size, manifest.rows, places=samples.top(_SHOWN_PLACES))


def _table(megabytes: float, model: str, folder: Path) -> Path:
    num_rows = enlarge(folder / "Posts.xml", int(megabytes * 1e6))
    size = (folder / "Posts.xml").stat().st_size
    has_model = Path(model).exists()
    names = [name for name in _steps(folder, model) if has_model or name not in _NEED_LANGUAGE]
    lines = [
        f"Posts.xml of {size / 1e6:.1f} MB, {num_rows:,} rows; one worker; each step once, in a process of its own.",
        "About a quarter of a second of a step is Beam's own start-up (the split does little else). MB are megabytes",
        "of the dump, whatever the step reads; a step that writes no shards has no rows.",
        "",
        "| step | CPU s | wall s | MB/s per CPU s | rows out | peak MB |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    busiest = ["", "Busiest places of each step, by share of samples (`sampler.py` says what a sample is):", ""]
    for name in names:
        command = [sys.executable, "-m", "benchmarks.steps", "--step", name, "--folder", str(folder)]
        run = run_once(Contender(name, [*command, "--language-model", model]))
        print(f"{name}: {run.cpu_s:.2f} CPU s", file=sys.stderr, flush=True)
        rate = run.bytes / 1e6 / run.cpu_s
        cells = (name, f"{run.cpu_s:.2f}", f"{run.wall_s:.2f}", f"{rate:.2f}", f"{run.records:,}", str(run.peak_mb))
        lines.append(f"| {' | '.join(cells)} |")
        busiest += [f"- **{name}**: " + ", ".join(f"`{place}` {share:.0%}" for place, share in run.extra["places"])]
    if not has_model:
        busiest += ["", f"Not measured, since there is no language model at {model}: {', '.join(_NEED_LANGUAGE)}."]
    packages = ["apache-beam", "pyarrow", "numpy", "ftfy", "tokenizers", "sentencepiece"]
    return write_result("steps", "Where the time goes", [*lines, *busiest], packages)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=20.0)
    parser.add_argument("--language-model", default="default")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        _run_step(arguments.step, arguments.folder, arguments.language_model)
        return
    with tempfile.TemporaryDirectory(prefix="agora-bench-") as folder:
        _table(arguments.megabytes, arguments.language_model, Path(folder))


if __name__ == "__main__":
    main()
