"""The layers there are: the only list of them. A new one is its file and a line here (docs/adding_a_layer.md)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from typing import Any

from transforms.datasets import strict_yaml
from transforms.layers import contamination, duplicates, language, quality, repeated_lines, signatures, split
from transforms.layers.layer import Layer

# In this order they are built, and the first that does not keep a document is the reason why it is not used.
LAYERS: Mapping[str, Layer[Any, Any]] = {
    layer.name: layer
    for layer in (
        language.LAYER,
        quality.LAYER,
        contamination.LAYER,
        duplicates.LAYER,
        signatures.LAYER,
        repeated_lines.LAYER,
        split.LAYER,
    )
}


def check_names(names: Iterable[str]) -> None:
    """Raises ValueError for a name that is no layer's, naming the nearest."""
    for name in names:
        if name not in LAYERS:
            nearest = difflib.get_close_matches(name, LAYERS, n=1, cutoff=0.0)[0]
            raise ValueError(f"unknown layer {name!r}; one of {', '.join(LAYERS)}, nearest: {nearest}")


def settings_of(given: Mapping[str, object], where: str, above: str = "") -> dict[str, object]:
    """The settings of the layers that are named, in the order of LAYERS.

    given: by layer, as YAML gives them: mappings, nothing for the defaults, or one value that stands for the first
    setting. where, above: what errors call it, the file and the section. Raises ValueError for an unknown layer or
    setting, a value that does not fit, or a setting without a default that is not given.
    """
    try:
        check_names(given)
    except ValueError as error:
        raise ValueError(f"{where or above}: {error}") from None
    return {
        name: strict_yaml.convert(layer.settings, _whole(layer, given[name]), where, f"{above}.{name}".lstrip("."))
        for name, layer in LAYERS.items()
        if name in given
    }


def first_setting(name: str) -> str:
    """The setting of a layer that may be given alone."""
    return fields(LAYERS[name].settings)[0].name


def must_be_told(name: str) -> bool:
    """Whether a layer has settings without a default."""
    return any(field.default is MISSING and field.default_factory is MISSING for field in fields(LAYERS[name].settings))


def _whole(layer: Layer[Any, Any], value: object) -> object:
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return value
    if not fields(layer.settings):
        raise ValueError(f"the {layer.name} layer has no settings, got {value!r}")
    return {first_setting(layer.name): value}
