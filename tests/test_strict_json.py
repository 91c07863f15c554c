"""JSON nested beyond what can be read is refused by the name of its file, or is a drop, wherever it comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.small_tokenizer import write_small_tokenizer
from tokenizer.encoder import CONFIG_FILE, TOKENIZER_FILE, Encoder
from transforms.datasets import strict_json
from transforms.datasets.fates import Drop, Reason
from transforms.datasets.manifest import Manifest, UnreadableError
from transforms.sources.rows.json_rows import read_rows

DEEP = b'{"a": ' + b"[" * 20_000 + b"]" * 20_000 + b"}"


def test_names_the_file(tmp_path: Path) -> None:
    place = tmp_path / "a.json"
    place.write_bytes(b'{"a": [1]}')
    assert strict_json.load(str(place)) == {"a": [1]}
    place.write_bytes(DEEP)
    with pytest.raises(ValueError, match=r"a.json: nested too deeply"):
        strict_json.load(str(place))
    place.write_bytes(b"{")
    with pytest.raises(ValueError, match=r"a.json: not readable as JSON: Expecting"):
        strict_json.load(str(place))


@pytest.mark.parametrize(("name", "depth"), [(TOKENIZER_FILE, 300), (TOKENIZER_FILE, 20_000), (CONFIG_FILE, 20_000)])
def test_a_tokenizer_is_refused(name: str, depth: int, tmp_path: Path) -> None:
    write_small_tokenizer(tmp_path)
    (tmp_path / name).write_bytes(b'{"model": ' + b"[" * depth + b"]" * depth + b"}")
    with pytest.raises(ValueError, match=f"{name} is "):
        Encoder.load(str(tmp_path))


def test_a_manifest_is_none() -> None:
    with pytest.raises(UnreadableError, match="is no manifest"):
        Manifest.from_json(DEEP)


def test_a_row_is_a_drop(tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(DEEP + b"\n" + b'{"a": 1}\n')
    with (tmp_path / "rows").open("rb") as stream:
        deep, whole = read_rows(stream, 0, None, "rows", 1 << 20)
    assert isinstance(deep, Drop)
    assert (deep.reason, deep.detail) == (Reason.MALFORMED, "JSON nested too deeply")
    assert whole == ({"a": 1}, len(DEEP) + 1)
