"""What may be shown on a terminal: what would move its cursor, colour it or turn its text around is escaped.

Names of files, ids and keys are somebody else's, and messages are full of them.
"""

from __future__ import annotations

import json
import logging
import re

# Controls but for tab and line end, marks of direction, line separators, and surrogates, which cannot be written.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def message(text: str) -> str:
    """A message with such characters as Python escapes them (\\x1b); its line ends and tabs stay."""
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def name(text: str) -> str:
    """A name within a message: on one line, whatever it holds."""
    return message(text).replace("\n", "\\n").replace("\t", "\\t")


def json_line(value: object) -> str:
    """A value as JSON on one line. What steers a terminal stands in it as JSON escapes it, so that it means the same.

    Other values than JSON has are written as texts.
    """
    told = json.dumps(value, ensure_ascii=False, default=str)
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", told)


class Formatter(logging.Formatter):
    """Of log records, which quote names as well."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record, escaped as `message` does."""
        return message(super().format(record))
