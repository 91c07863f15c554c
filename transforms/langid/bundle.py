"""The file of a model of our own: one zip archive, stored, whose bytes follow from its content.

card.json         format, what the model was made of and how, calibration, thresholds, SHA-256 of the other members
first.ftz         the fastText classifier
group/<name>.i8   the weights of a group: [2**bits + 1, languages] 8-bit numbers
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tokenizer.languages import LANGUAGES
from transforms.classifiers import fasttext_file
from transforms.langid.groups import Group
from transforms.langid.own import Calibration, OwnModel

FORMAT = 1
MAGIC = b"PK\x03\x04"  # begins the file, and no fastText model
_CARD = "card.json"
_FIRST = "first.ftz"
_DATE = (1980, 1, 1, 0, 0, 0)
_AGAIN = "get it again, or train one: agora langid train"


@dataclass(frozen=True)
class Bundle:
    """What the file holds. about: of the card, for people: sources, licences, settings, figures."""

    first: bytes
    groups: Mapping[str, Group]
    calibration: Calibration
    thresholds: Mapping[str, float]
    about: Mapping[str, object]

    def model(self, place: str = "the model") -> OwnModel:
        """Ready to predict. Raises ValueError when its classifier is no fastText model, or not of these languages."""
        return OwnModel(
            fasttext_file.read(self.first, place), list(self.groups.values()), self.calibration, self.thresholds
        )


def write(bundle: Bundle) -> bytes:
    """The file's bytes; the same content gives the same."""
    members = {_FIRST: bundle.first}
    members |= {_member(name): group.weights.tobytes() for name, group in sorted(bundle.groups.items())}
    card = {
        "format": FORMAT,
        **bundle.about,
        "members": {name: hashlib.sha256(data).hexdigest() for name, data in members.items()},
        "groups": {
            name: {"codes": list(group.codes), "bits": group.bits, "scale": group.scale}
            for name, group in sorted(bundle.groups.items())
        },
        "calibration": asdict(bundle.calibration),
        "thresholds": dict(sorted(bundle.thresholds.items())),
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in {_CARD: json.dumps(card, indent=1, ensure_ascii=False).encode(), **members}.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), data)
    return file.getvalue()


def read(data: bytes, place: str) -> Bundle:
    """The content of a file; place: what errors call it. Raises ValueError when it is damaged, or of another format."""
    try:
        members = _members(data)
        card = json.loads(members.pop(_CARD))
        is_ours = card["format"] == FORMAT
        damaged = _altered(card["members"], members) if is_ours else None
        if is_ours and not damaged:
            return _bundle(card, members)
    except _NOT_WHOLE as error:
        raise ValueError(f"{place} is no whole language model ({type(error).__name__}: {error}); {_AGAIN}") from error
    if is_ours:
        raise ValueError(f"the language model {place} is damaged: {damaged} is not what its card says; {_AGAIN}")
    raise ValueError(f"{place} is a language model of format {card['format']!r}; this version reads {FORMAT}")


_NOT_WHOLE = (zipfile.BadZipFile, EOFError, AttributeError, LookupError, TypeError, ValueError, RuntimeError)


def _members(data: bytes) -> dict[str, bytes]:
    """What is in the archive. It is not compressed, so that it is no larger than the file."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        found = archive.infolist()
        if any(member.compress_type for member in found) or sum(member.file_size for member in found) > len(data):
            raise zipfile.BadZipFile("its members are compressed")
        return {member.filename: archive.read(member) for member in found}


def _altered(wanted: Mapping[str, str], members: Mapping[str, bytes]) -> str | None:
    found = {name: hashlib.sha256(data).hexdigest() for name, data in members.items()}
    return next((name for name in sorted({*wanted, *found}) if wanted.get(name) != found.get(name)), None)


def _bundle(card: Mapping[str, Any], members: Mapping[str, bytes]) -> Bundle:
    groups = {}
    for name, group in card["groups"].items():
        table = np.frombuffer(members[_member(name)], np.int8).reshape(-1, len(group["codes"]))
        groups[name] = Group(group["codes"], group["bits"], table, float(group["scale"]))
    measured = card["calibration"]
    numbers = (tuple(map(float, measured[name])) for name in ("others", "first", "second", "sharpness"))
    calibration = Calibration(tuple(map(int, measured["lengths"])), *numbers)
    thresholds = {code: float(card["thresholds"][code]) for code in LANGUAGES}
    if not all(0.0 <= least <= 1.0 for least in thresholds.values()):
        raise ValueError("a threshold is not in [0, 1]")
    known = {"format", "members", "groups", "calibration", "thresholds"}
    about = {key: value for key, value in card.items() if key not in known}
    return Bundle(members[_FIRST], groups, calibration, thresholds, about)


def _member(group: str) -> str:
    return f"group/{group}.i8"
