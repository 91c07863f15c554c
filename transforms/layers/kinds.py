"""The layers there are: the only list of them. A new one is its file and a line here (docs/adding_a_layer.md)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from typing import Any

from transforms.datasets import strict_yaml
from transforms.layers import duplicates, language, split
from transforms.layers.layer import Layer

# In this order they are built, and the first that does not keep a document is the reason why it is not used.
LAYERS: Mapping[str, Layer[Any, Any]] = {
    layer.name: layer
    for layer in (
        language.LAYER,
        duplicates.LAYER,
        split.LAYER,
    )
}


def check_names(names: Iterable[str]) -> None:
    """Raises ValueError for a name that is no layer's, naming the nearest."""
    for name in names:
        if name not in LAYERS:
            nearest = difflib.get_close_matches(name, LAYERS, n=1, cutoff=0.0)[0]
            raise ValueError(f"unknown layer {name!r}; one of {', '.join(LAYERS)}, nearest: {nearest}")


def settings_of(given: Mapping[str, object], where: str) -> dict[str, Any]:
    """The settings of every layer that can be built: as given, else the defaults, where a layer has them.

    given: by layer, mappings as YAML gives them, or a text that stands for the first setting. where: what errors call
    it. Raises ValueError for an unknown layer or setting, or a value that does not fit.
    """
    try:
        check_names(given)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    found = {}
    for name, layer in LAYERS.items():
        if name in given or all(_has_default(field) for field in fields(layer.settings)):
            found[name] = strict_yaml.convert(layer.settings, _whole(layer, given.get(name, {})), where, name)
    return found


def first_setting(name: str) -> str:
    """The setting of a layer that may be given alone."""
    return fields(LAYERS[name].settings)[0].name


def _whole(layer: Layer[Any, Any], value: object) -> object:
    return {first_setting(layer.name): value} if isinstance(value, str) else value


def _has_default(field: Any) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING
