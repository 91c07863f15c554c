"""Which lines count as repeated, and what is said of each document: settings and columns of the layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from transforms.datasets.schema import required
from transforms.datasets.settings import SettingError

# One line of a document that stands elsewhere: characters [begin, end) of its text, and the document that keeps it.
_SPAN = pa.struct([required("begin", pa.int32()), required("end", pa.int32()), required("owner", pa.string())])
SCHEMA = pa.schema(
    [
        required("doc_id", pa.string()),
        required("cut", pa.list_(pa.field("item", _SPAN, nullable=False))),  # in order, never overlapping
        required("tokens", pa.int64()),  # of its text, line by line
        required("tokens_left", pa.int64()),  # without the lines that are cut
        required("keep", pa.bool_()),
        pa.field("reason", pa.string()),
    ]
)
SHARES = ("nothing", "under 10%", "10-50%", "50-90%", "90% and more")  # of the tokens of a document that are cut
LANGUAGE = "language"  # the layer by which what is cut is counted
_LAYERS = (LANGUAGE, "quality", "contamination", "duplicates")


@dataclass(frozen=True)
class LineSettings:
    """tokens: a line of fewer is nobody's copy. left: a document of which lines are cut is left out when fewer tokens
    remain, unless a line was cut elsewhere because it stands in it. kept_by: layers; a document that one of them does
    not keep owns no line and loses none."""

    tokens: int = 10
    left: int = 30
    kept_by: Sequence[str] = (LANGUAGE, "duplicates")

    def __post_init__(self) -> None:
        for name in ("tokens", "left"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise SettingError(name, f"must be a whole number of at least 1; got {value!r}")
        for number, name in enumerate(self.kept_by):
            if name not in _LAYERS or name in self.kept_by[:number]:
                raise SettingError("kept_by", f"must name some of {', '.join(_LAYERS)}, each once; got {name!r}")
