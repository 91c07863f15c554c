"""Files of benchmarks to the texts in them that no training text may hold. Which benchmark a file is, its rows say."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from transforms.datasets import places, strict_json
from transforms.sources.streams.unpack import open_unpacked

_ENDINGS = (".jsonl", ".ndjson", ".json", ".tsv")
_NUMBER = re.compile(r"\s*-?[\d.,]+\s*")
_PACKED = (".gz", ".bz2", ".xz", ".zst")


class Item(NamedTuple):
    """A text of an item of a benchmark. item: its own id, or the number of its row from 1, and which of its texts."""

    benchmark: str
    item: str
    text: str


@dataclass(frozen=True)
class Benchmark:
    """A file. name: of the benchmark, or of the file where its rows say none. sha256: of the file, unpacked."""

    name: str
    sha256: str
    items: Sequence[Item]


@dataclass(frozen=True)
class _Format:
    """name: of the benchmark; None: the file's. fits: whether a row is of it. ids, texts: fields, of which those that
    are there are taken."""

    name: str | None
    fits: Callable[[Mapping[str, Any]], bool]
    ids: Sequence[str]
    texts: Sequence[str]


def _has(*fields: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda row: set(fields) <= row.keys()


# The first that fits all rows of a file is taken.
_FORMATS = (
    _Format(
        "humaneval", _has("task_id", "prompt", "canonical_solution"), ["task_id"], ["prompt", "canonical_solution"]
    ),
    _Format("mbpp", _has("task_id", "code", "test_list"), ["task_id"], ["text", "prompt", "code"]),
    _Format(
        "gsm8k",
        lambda row: _has("question", "answer")(row) and "####" in str(row["answer"]),
        [],
        ["question", "answer"],
    ),
    _Format("llmbar", _has("input", "output_1", "output_2"), [], ["input", "output_1", "output_2"]),
    _Format(
        "rm-bench",
        lambda row: _has("prompt", "chosen", "rejected")(row) and _are_texts(row["chosen"]),
        ["id"],
        ["prompt", "chosen", "rejected"],
    ),
    _Format("rewardbench", _has("prompt", "chosen", "rejected"), ["id"], ["prompt", "chosen", "rejected"]),
    _Format(None, _has("mgsm"), [], ["mgsm"]),
)
_KNOWN = "GSM8K, HumanEval, MBPP, MGSM, RewardBench, RM-Bench, LLMBar"


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(text, str) for text in value)


def read(given: Sequence[str], fields: Sequence[str] = ()) -> list[Benchmark]:
    """The benchmarks of files and folders, once each, in the order of their names and digests.

    fields: the texts of rows that are no known benchmark's. Of a folder the .jsonl, .json and .tsv files below it are
    read, packed ones too. Raises ValueError for what is not there, a folder without such files, a file that is of no
    known format or cut off, and one without any text.
    """
    found = [_read_file(file, fields) for place in given for file in _files(place)]
    by_content = {(file.name, file.sha256): file for file in found}
    return [by_content[key] for key in sorted(by_content)]


def _files(place: str) -> list[str]:
    if not places.is_folder(place):
        if not places.exists(place):
            raise ValueError(f"there is no {place}; name files of benchmarks, or folders of them")
        return [place]
    names = [name for name in places.list_files(place) if _stem(name)[1] in _ENDINGS]
    if not names:
        raise ValueError(f"there is no benchmark in {place}: wanted files named *.jsonl, *.json or *.tsv")
    return [places.join(place, name) for name in names]


def _stem(place: str) -> tuple[str, str]:
    """A file's name without its endings, and what it ends with when it is unpacked."""
    name = places.name(place)
    for ending in _PACKED:
        name = name.removesuffix(ending)
    stem, dot, ending = name.rpartition(".")
    return (stem, dot + ending.lower()) if stem else (name, "")


def _read_file(place: str, fields: Sequence[str]) -> Benchmark:
    try:
        with open_unpacked(place) as file:
            data = file.read()
        rows = list(_rows(data.decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        raise ValueError(f"{place} is not UTF-8 at byte {error.start}; save it as UTF-8") from None
    except (EOFError, ValueError) as error:
        raise ValueError(f"{place}: {error}") from None
    known = next((known for known in _formats(fields) if rows and all(map(known.fits, rows))), None)
    if known is None:
        kinds = list(dict.fromkeys(", ".join(row) for row in rows))  # one odd row makes a file no benchmark
        got = f"rows with {'; others with '.join(kinds[:2])}" if rows else "no rows"
        without = f", nor has each row one of the fields {', '.join(fields)}" if fields else ""
        raise ValueError(
            f"{place} is no benchmark that is known ({_KNOWN}){without}: got {got}; name the fields with its texts "
            "(contamination.fields, --field)"
        )
    name = known.name or _stem(place)[0]
    items = [
        Item(name, " ".join((str(_id(row, known) or number), *part)), text)
        for number, row in enumerate(rows, 1)
        for part, text in _texts(row, known.texts)
    ]
    if not items:
        raise ValueError(f"{place} has no text in {', '.join(known.texts)}; check the file and the fields")
    return Benchmark(name, hashlib.sha256(data).hexdigest(), items)


def _formats(fields: Sequence[str]) -> Iterator[_Format]:
    yield from _FORMATS
    if fields:
        yield _Format(None, lambda row: not row.keys().isdisjoint(fields), ["id", "task_id"], fields)


def _id(row: Mapping[str, Any], known: _Format) -> object:
    return next((row[name] for name in known.ids if row.get(name) is not None), None)


def _rows(text: str) -> Iterator[Mapping[str, Any]]:
    """Rows of JSON, of lines of JSON, or of MGSM's lines of a question, a tab and its answer."""
    begin = text.lstrip()[:1]
    if begin == "[":
        yield from map(_object, strict_json.parse(text, "the file"))
        return
    for number, line in enumerate(text.split("\n"), 1):
        cells = line.rstrip("\r").split("\t")
        if begin == "{" and line.strip():
            yield _object(strict_json.parse(line, f"line {number}"))
        elif len(cells) == 2 and _NUMBER.fullmatch(cells[1]):
            yield {"mgsm": cells[0]}
        elif line.strip():
            raise ValueError(f"line {number} is neither JSON nor MGSM's: a question, a tab, and a number")


def _object(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"has a row that is no JSON object: {str(value)[:80]}")
    return value


def _texts(row: Mapping[str, Any], fields: Sequence[str]) -> Iterator[tuple[list[str], str]]:
    """The texts of a row, each with the name of its field where it is not the first."""
    for field in fields:
        values = row.get(field)
        for number, value in enumerate(values if isinstance(values, list) else [values]):
            text = value.get("content") if isinstance(value, dict) else value  # of a message of a conversation
            if isinstance(text, str) and text.strip():
                yield [field, str(number + 1)] if number else [field] if field != fields[0] else [], text
