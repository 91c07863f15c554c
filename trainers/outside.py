"""Models from outside: a folder, or a commit on the Hugging Face hub, looked at before anything is built of it.

Nothing that is read here can run code: JSON and safetensors alone. A name on the hub stands for other bytes tomorrow,
so it needs the commit it means: Qwen/Qwen3-0.6B@ and its 40 hexadecimal digits.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import snapshot_download
from safetensors import SafetensorError, safe_open

from tokenizer.loading import json_object
from transforms.datasets import places, shown
from transforms.datasets.ids import fingerprint
from transforms.datasets.manifest import load_manifest
from transforms.datasets.names import MANIFEST
from transforms.datasets.step import MODEL

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_FETCHED = ("*.json", "*.safetensors", "*.jinja", "README.md")
_FETCHED_TOKENIZER = ("tokenizer.json", "tokenizer_config.json")
_LONGEST = 400  # characters of what another library says
_CONFIG = "config.json"
_WEIGHTS = "model.safetensors"
_ADAPTER = "adapter_config.json"
_INDEX = "model.safetensors.index.json"


def folder(place: str, key: str) -> str:
    """The local folder of a model or tokenizer: itself, or what was fetched from the hub.

    place: a folder, or NAME@COMMIT of the hub; a tokenizer may have a URL, from which it is read. key: the setting that
    names it. Raises ValueError for anything else, and for what cannot be fetched.
    """
    if Path(place).is_dir() or ("://" in place and key == "tokenizer"):
        return place
    if Path(place).exists():
        raise ValueError(f"{key}={place} is a file; name the folder it lies in")
    if "://" in place:
        raise ValueError(f"{key}={place} is a URL; copy the folder to this machine, and name the copy")
    name, _, commit = place.partition("@")
    if not _HUB_NAME.fullmatch(name):
        raise ValueError(f"{key}={place} is no folder on this machine; name one, or a model on the hub as NAME@COMMIT")
    if not _COMMIT.fullmatch(commit):
        wrong = f"has {commit!r} for a commit" if commit else "has no commit"
        raise ValueError(
            f"{key}={place} is no folder on this machine, and as a model on the hub {wrong}: branches and tags move, "
            f"so name the 40 hexadecimal digits of one, {key}={name}@COMMIT (its page shows them: Files, History)"
        )
    try:
        files = _FETCHED_TOKENIZER if key == "tokenizer" else _FETCHED
        return snapshot_download(name, revision=commit, allow_patterns=list(files))
    except Exception as error:  # the network's, and of whatever answers there
        raise ValueError(f"{key}={place} could not be fetched from the hub: {one_line(error)}") from error


@contextmanager
def reading(place: str, key: str) -> Iterator[None]:
    """Raises ValueError, which names the place, for what a server or its library says of it in the block."""
    try:
        yield
    except (ValueError, OSError):
        raise
    except Exception as error:  # of classes that depend on the kind of URL
        raise ValueError(f"{key}={place} cannot be read: {one_line(error)}") from error


def digest(place: str, fetched: str) -> str:
    """Names the model that a run starts from: its manifest, or the bytes of its files and its commit on the hub.

    place: as it was given, or ""; fetched: its folder.
    """
    if not place:
        return ""
    if places.exists(places.join(fetched, MANIFEST)):
        return load_manifest(fetched, MODEL.kind).digest
    names = [name for name in places.list_files(fetched) if name.endswith((".safetensors", ".json"))]
    commit = [] if fetched == place else [["commit", place]]
    return fingerprint([*commit, *([name, places.sha256(places.join(fetched, name))] for name in names)])


def check_config(place: str, known: Container[str]) -> None:
    """Raises ValueError, which names the file, unless a folder's config.json names one of the known types of models."""
    config = Path(place, _CONFIG)
    if not config.is_file():
        raise ValueError(f"{place} holds no {_CONFIG}: it is no Hugging Face model; name the folder of one")
    values = json_object(str(config), config.read_bytes(), "model")
    kind = values.get("model_type")
    if not isinstance(kind, str):
        raise ValueError(f"{config} names no model_type; get the model again, or save it anew with save_pretrained")
    if kind not in known:
        own = "; the code that comes with a model is never run" if "auto_map" in values else ""
        raise ValueError(f"{config} has the model_type {kind!r}, which this version of transformers does not know{own}")


def check_weights(place: str) -> None:
    """Raises ValueError, which names the file, for a folder without whole safetensors."""
    if Path(place, _ADAPTER).exists():
        raise ValueError(f"{place} holds an adapter ({_ADAPTER}) of a model elsewhere; merge the two and save that")
    for name in _weight_files(place):
        file = Path(place, name)
        try:
            with safe_open(file, framework="pt") as tensors:
                tensors.keys()
        except FileNotFoundError:
            raise ValueError(f"{Path(place, _INDEX)} names {name}, which is not there; get the model again") from None
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{file} is no whole safetensors file: {one_line(error)}; get the model again") from error


def _weight_files(place: str) -> list[str]:
    if Path(place, _WEIGHTS).exists():
        return [_WEIGHTS]
    index = Path(place, _INDEX)
    if not index.is_file():
        raise ValueError(
            f"{place} has neither {_WEIGHTS} nor {_INDEX}. Only safetensors are read, since other weights can hold "
            "code: save the model anew with save_pretrained"
        )
    names = json_object(str(index), index.read_bytes(), "model").get("weight_map")
    if not isinstance(names, dict) or not names or not all(isinstance(name, str) for name in names.values()):
        raise ValueError(f"{index} has no weight_map from weights to files; get the model again")
    for name in names.values():
        if "/" in name or not name.endswith(".safetensors"):
            raise ValueError(f"{index} names {shown.name(name)}, which is no safetensors file beside it")
    return sorted(set(names.values()))


def one_line(error: BaseException) -> str:
    """What an error of another library says, on one line."""
    told = " ".join(str(error).split())
    said = told if isinstance(error, ValueError | OSError) and told else f"{type(error).__name__}: {told}"
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]} …"
