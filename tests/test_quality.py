"""agora quality: commands, and the loop of docs/quality.md that finds texts like a few seeds in a pool."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from pipelines import cli
from tests.conftest import ROOT
from tests.test_quality_classifier import BAD, GOOD, texts, write


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int | None:
    monkeypatch.setattr(sys, "argv", ["agora", "quality", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code or 0  # type: ignore[return-value]


def test_train_writes_a_model_with_its_card_and_score_uses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = write(tmp_path / "good", texts(GOOD, 200)), write(tmp_path / "bad", texts(BAD, 300))
    model = tmp_path / "model.bin"
    made = ("train", "--positive", good, "--negative", bad, "--output", model)
    assert run(monkeypatch, *made) == 0
    told = capsys.readouterr().err
    assert "negative: 300 read, 100 left out" in told
    assert re.search(r"held out: accuracy \d\.\d+, AUC \d\.\d+\n  score from   precision   recall\n  0\.1 ", told)
    card = json.loads((tmp_path / "model.bin.json").read_text())
    assert card["examples"]["positive"]["read"] == 200
    assert card["held_out"]["auc"] > 0.99
    assert str(tmp_path) not in json.dumps(card)
    first = model.read_bytes(), (tmp_path / "model.bin.json").read_bytes()

    assert run(monkeypatch, *made) == 2
    assert "is there already; name another --output, or give --replace" in capsys.readouterr().err
    assert run(monkeypatch, *made, "--replace") == 0
    assert (model.read_bytes(), (tmp_path / "model.bin.json").read_bytes()) == first

    capsys.readouterr()
    rows = [
        {"text": text, "url": f"u{index}", "score": index}
        for index, text in enumerate([*texts(GOOD, 4, 1), *texts(BAD, 4, 1)])
    ]
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    assert run(monkeypatch, "score", model) == 0
    scored = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [{key: row[key] for key in rows[0]} for row in scored] == rows
    scores = [row["quality"] for row in scored]
    assert min(scores[:4]) > 0.5 > max(scores[4:])

    file = write(tmp_path / "rows.jsonl", lines.splitlines())
    cut = sorted(scores)[3]
    assert run(monkeypatch, "score", model, file, "--from", cut) == 0
    above = [json.loads(line)["quality"] for line in capsys.readouterr().out.splitlines()]
    assert run(monkeypatch, "score", model, file, "--below", cut) == 0
    below = [json.loads(line)["quality"] for line in capsys.readouterr().out.splitlines()]
    assert len(above) == 5
    assert len(below) == 3
    assert sorted([*above, *below]) == sorted(scores)

    file = write(tmp_path / "rated.jsonl", [json.dumps({"text": "a", "quality": "mine"})])
    assert run(monkeypatch, "score", model, file) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "rated.jsonl has a `quality` of its own, where its score would stand: {" in printed.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("train --positive good --negative good --output m", "good is positive and good negative"),
        ("train --positive good --negative absent --output m", "no file and no documents at absent"),
        ("train --positive good --negative bad --output m --epochs 0", "--epochs must be from 1 to 1000, got 0"),
        ("score absent good", "no quality classifier at absent"),
        ("score good good", "good is no fastText model"),
    ],
)
def test_errors_are_told_in_a_line(
    arguments: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "good", texts(GOOD, 150))
    write(tmp_path / "bad", texts(BAD, 150))
    assert run(monkeypatch, *arguments.split()) == 2
    assert f"error: {message}" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


def test_the_recall_loop_of_the_documentation_finds_more_in_each_round(tmp_path: Path) -> None:
    """Of the texts that are looked for, some have words of the seeds and others that tell; some the latter alone."""
    document = (ROOT / "docs" / "quality.md").read_text("utf-8")
    (block,) = re.findall(r"```sh\n(.*?)```", document, re.DOTALL)
    write(tmp_path / "seeds.txt", texts(GOOD[:6], 300))
    write(tmp_path / "general.txt", texts(BAD, 1000, seed=1))
    pool = [(text, kind) for kind, words in (("near", GOOD[3:]), ("far", GOOD[6:])) for text in texts(words, 300)]
    pool += [(text, "other") for text in texts(BAD, 2000)]
    write(tmp_path / "pool.jsonl", [json.dumps({"text": text, "kind": kind}) for text, kind in pool])
    shell = f'set -e; agora() {{ "{sys.executable}" -m pipelines.cli "$@"; }}; export PYTHONPATH="{ROOT}"\n{block}'
    done = subprocess.run(["bash", "-c", shell], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    found = [Counter(row["kind"] for row in rows(tmp_path / f"found{turn}.jsonl")) for turn in (1, 2)]
    assert found[0]["near"] > 150
    assert found[0]["far"] == 0
    assert found[1]["near"] > 250
    assert found[1]["far"] > 200
    assert found[0]["other"] + found[1]["other"] <= 5


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
