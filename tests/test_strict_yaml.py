from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from pipelines import curriculum, pairs
from transforms.curriculum.mix import Recipe
from transforms.datasets.strict_yaml import MAX_DEPTH, load, load_named, override, parse, read, text_of
from transforms.pairs.rule import PairRule


@dataclass(frozen=True)
class Leaf:
    name: str
    rate: float = 0.5
    kind: Literal["a", "b"] = "a"


@dataclass(frozen=True)
class Root:
    leaves: tuple[Leaf, ...]
    one: Leaf | None = None
    number: int | None = None
    many: Sequence[str] = ()
    shares: Mapping[str, float] = field(default_factory=dict)
    flag: bool = False
    anything: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.number == 13:
            raise ValueError("13 is not allowed")


def test_reads_nested_values() -> None:
    text = """
    leaves: [{name: x, rate: 1e-4}, {name: y, kind: b}]
    one: {name: z, rate: 2}
    many: [p, q]
    shares: {a: 1, b: 0.5}
    flag: true
    anything: {k: [1, {l: two}]}
    """
    assert parse(Root, text, "file.yaml") == Root(
        leaves=(Leaf("x", 1e-4), Leaf("y", kind="b")),
        one=Leaf("z", 2.0),
        many=("p", "q"),
        shares={"a": 1.0, "b": 0.5},
        flag=True,
        anything={"k": [1, {"l": "two"}]},
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("leaves: [{nam: x}]", r"file.yaml: at leaves\[0\]: unknown key 'nam' \(did you mean 'name'\?\)"),
        ("leaves: [{rate: 1.0}]", r"at leaves\[0\]: the key 'name' is missing"),
        ("{}", "the key 'leaves' is missing"),
        ("leaves: []\nleaves: []", "'leaves' is given twice"),
        ("leaves: []\none: {name: x, name: y}", "'name' is given twice"),
        ("leaves: {name: x}", r"at leaves: got .* \(a mapping\), wanted a list"),
        ("leaves: a,b", r"at leaves: got 'a,b' \(text\), wanted a list; write \[a,b\]"),
        ("leaves: [{name: 3}]", r"at leaves\[0\].name: got 3 \(a number\), wanted text; quote it"),
        ("leaves: [{name: no}]", r"at leaves\[0\].name: got False \(true or false\), wanted text"),
        ("leaves: []\nnumber: true", "at number: got True .* wanted a whole number"),
        ("leaves: []\nnumber: 1.5", "at number: got 1.5 .* wanted a whole number"),
        ("leaves: []\nflag: 1", "at flag: got 1 .* wanted true or false"),
        ("leaves: []\none: {name: x, kind: c}", "at one.kind: got 'c'; wanted one of a, b"),
        ("leaves: []\nshares: {a: big}", "at shares.a: got 'big' .* wanted a number"),
        ("leaves: []\nshares: {1: 0.5}", "the key 1 is not text"),
        ("leaves: []\nnumber: 13", "file.yaml: 13 is not allowed"),
        ("[1, 2]", "wanted a mapping with the keys"),
        ("", r"got None \(nothing\)"),
        ("leaves: [", "not readable as YAML"),
        ("leaves: []\nnumber: 2020-13-45", "not readable as YAML"),
        ("leaves: []\nmany: &a [x]\nanything: {k: *a}", r"the alias \*a stands for a value(.|\n)*line 3, column 15"),
        (f"leaves: []\nanything: {{k: {'[' * 20_000}", "nested deeper than 100 levels(.|\n)*line 2"),
        (f"anything: {{k: {'{a: ' * 20_000}", "nested deeper than 100 levels"),
        ("\n".join(f"{'-' * 200}".replace("-", "- ") for _ in range(2)), "nested deeper than 100 levels"),
    ],
)
def test_refuses(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(Root, text, "file.yaml")


def test_unknown_language_names_the_file_and_the_nearest() -> None:
    stage = "{name: a, tokens: 5, sequence_length: 8, shares: {swh_Latin: 1}}"
    text = f"{{name: x, version: 1, max_repeats: 1, stages: [{stage}]}}"
    with pytest.raises(ValueError, match=r"mix.yaml: at stages\[0\]: .*swh_Latin.*swh_Latn"):
        parse(Recipe, text, "mix.yaml")


def test_everything_shipped_loads() -> None:
    for path in sorted(curriculum.RECIPES.glob("*.yaml")):
        assert load_named(Recipe, path.stem, curriculum.RECIPES).name == path.stem
    for path in sorted(pairs.RULES.glob("*.yaml")):
        assert load_named(PairRule, path.stem, pairs.RULES).name == path.stem


def test_names(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no rules file named 'worldpn' \(did you mean 'worldpm'\?\)"):
        load_named(PairRule, "worldpn", pairs.RULES)
    with pytest.raises(ValueError, match="no such file"):
        load(PairRule, str(tmp_path / "none.yaml"))
    own = tmp_path / "own.yaml"
    own.write_text("{name: own, version: 2, score: score}")
    assert load_named(PairRule, str(own), pairs.RULES) == PairRule("own", 2, "score")


def test_refuses_in_settings_of_a_command() -> None:
    with pytest.raises(ValueError, match=r"set.k: not readable as YAML: nested deeper than 100 levels"):
        override({}, f"set.k={'[' * 20_000}")


def test_as_deep_as_is_allowed(tmp_path: Path) -> None:
    nested = read("[" * MAX_DEPTH + "]" * MAX_DEPTH, "x")
    for _ in range(MAX_DEPTH - 1):
        (nested,) = nested
    assert nested == []
    assert read("[" + "[a], " * (2 * MAX_DEPTH) + "]", "x") == [["a"]] * (2 * MAX_DEPTH)  # beside one another
    with pytest.raises(ValueError, match="deeper"):
        read("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "x")
    (tmp_path / "a.yaml").write_bytes(b"a: \xff")
    with pytest.raises(ValueError, match=r"a.yaml is not UTF-8 at byte 3"):
        text_of(str(tmp_path / "a.yaml"))
