"""Files of benchmarks: known by their rows, packed or not, once each, and refused when they are none."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from transforms.benchmarks.readers import Item, read

FORMS: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "gsm8k": ({"question": "How many?", "answer": "Two.\n#### 2"}, [("1", "How many?"), ("1 answer", "Two.\n#### 2")]),
    "humaneval": (
        {"task_id": "HumanEval/7", "prompt": "def f(x):", "canonical_solution": "  return x", "test": "assert f(1)"},
        [("HumanEval/7", "def f(x):"), ("HumanEval/7 canonical_solution", "  return x")],
    ),
    "mbpp": (
        {"task_id": 11, "text": "Remove it.", "code": "def r(): pass", "test_list": ["assert r()"]},
        [("11", "Remove it."), ("11 code", "def r(): pass")],
    ),
    "llmbar": (
        {"input": "Say hi.", "output_1": "hi", "output_2": "no", "label": 1},
        [("1", "Say hi."), ("1 output_1", "hi"), ("1 output_2", "no")],
    ),
    "rm-bench": (
        {"id": "c/1", "prompt": "Why?", "chosen": ["a", "aa"], "rejected": ["b"], "domain": "chat"},
        [("c/1", "Why?"), ("c/1 chosen", "a"), ("c/1 chosen 2", "aa"), ("c/1 rejected", "b")],
    ),
    "rewardbench": (
        {"id": 3, "prompt": [{"role": "user", "content": "Why?"}], "chosen": "a", "rejected": "b", "subset": "x"},
        [("3", "Why?"), ("3 chosen", "a"), ("3 rejected", "b")],
    ),
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("packed", [False, True])
def test_a_benchmark_is_known_by_its_rows_whatever_its_file_is_called(name: str, packed: bool, tmp_path: Path) -> None:
    row, texts = FORMS[name]
    lines = (json.dumps(row) + "\n").encode()
    (tmp_path / "a.jsonl").write_bytes(gzip.compress(lines) if packed else lines)
    (tmp_path / "b.json").write_text(json.dumps([row]))
    for file in ("a.jsonl", "b.json"):
        (found,) = read([str(tmp_path / file)])
        assert found.name == name
        assert found.items == [Item(name, item, text) for item, text in texts]


def test_mgsm_is_named_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "mgsm_de.tsv").write_text('Wie "viele"?\t1,018\nUnd wann?\t-3.5\n', "utf-8")
    (found,) = read([str(tmp_path / "mgsm_de.tsv")])
    assert found.items == [Item("mgsm_de", "1", 'Wie "viele"?'), Item("mgsm_de", "2", "Und wann?")]


def test_other_rows_are_read_by_field(tmp_path: Path) -> None:
    place = tmp_path / "own.jsonl"
    place.write_text('{"id": "x", "q": "Why?", "a": "So."}\n\n{"q": "Who?"}\n')
    with pytest.raises(ValueError, match=r"own.jsonl is no benchmark .* got rows with id, q, a; .*--field"):
        read([str(place)])
    (found,) = read([str(place)], ["q", "a"])
    assert found.items == [Item("own", "x", "Why?"), Item("own", "x a", "So."), Item("own", "2", "Who?")]


def test_a_file_is_read_once_and_packing_decides_nothing(tmp_path: Path) -> None:
    line = json.dumps(FORMS["gsm8k"][0]).encode()
    for name, data in (("b.jsonl", line), ("c/a.jsonl.gz", gzip.compress(line)), ("README.md", b"not a benchmark")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    (found,) = read([str(tmp_path), str(tmp_path / "b.jsonl")])
    assert read([str(tmp_path / "c")]) == [found]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "got no rows"),
        (b'{"question": "a"', "line 1: not readable as JSON"),
        (b"[3]", "has a row that is no JSON object: 3"),
        (b"Wie viele?\tviele\n", "line 1 is neither JSON nor MGSM's"),
        (b'{"question": "\xff"}', "is not UTF-8 at byte 14"),
        (b'{"input": " ", "output_1": "", "output_2": null}', "has no text in input, output_1, output_2"),
        (gzip.compress(b'{"question": "a", "answer": "#### 1"}')[:-12], "a.jsonl"),
        (b'{"question": "a", "answer": "#### 1"}\n{"input": "b"}', "got rows with question, answer; others with input"),
    ],
)
def test_what_is_no_benchmark_is_refused_by_name(data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        read([str(tmp_path / "a.jsonl")])


def test_fields_that_rows_have_not_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"foo": "a"}')
    with pytest.raises(ValueError, match="nor has each row one of the fields bar: got rows with foo; name the fields"):
        read([str(tmp_path / "a.jsonl")], ["bar"])


def test_what_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no .*missing\.jsonl"):
        read([str(tmp_path / "missing.jsonl")])
    with pytest.raises(ValueError, match=r"no benchmark in .*: wanted files named"):
        read([str(tmp_path)])
