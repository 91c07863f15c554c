"""Reports of builds that were edited, cut, copied badly or made by others: always a page, harmless, and it says so."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from pipelines.report import folder as report_folder
from pipelines.report import page as report
from tests.small_build import EVALUATION, PART, Page, assert_harmless, corpus, render, save, whole_build
from tests.small_dataset import opened
from transforms.datasets import dataset as datasets_dataset
from transforms.datasets.manifest import DatasetSpec, Manifest, ShardFile
from transforms.datasets.names import MANIFEST

SCRIPT = '<script>alert("x")</script>'
HOSTILE = f"{SCRIPT}\u202e&amp;\x00"


def nested(levels: int) -> Any:
    value: Any = SCRIPT
    for _ in range(levels):
        value = {SCRIPT: value} if levels % 2 else [value]
    return value


VALUES: list[Any] = [
    HOSTILE, "</style></title></textarea><script>alert(1)</script>", "\" onmouseover=\"alert(1)", "' onfocus='alert(1)",
    "<img src=x onerror=alert(1)>", "http://evil.example/x.js", "url(//evil.example)", "{{7*7}}", "[red]x[/red][/]", "",
    "\ud800", "\u2066\u202e\u200f", "\x00\x1b[31m\x9b", "\r\n\n", "x" * 100_000, "<" * 50_000, "\ufffe\U0010ffff",
    float("nan"), float("inf"), float("-inf"), -5, -0.0, 3.5, 1 << 63, 10**400, 1e308, -1e308, 5e-324, True, False,
    None, [], {}, [[]], [None], [{}], {"": {}}, {SCRIPT: SCRIPT}, {SCRIPT: 1}, {"a": {"b": [1]}}, nested(9),
    nested(200), "documents", "data/../../x", "/", "nan", "1", "2026-01-01", 0, 1,
    {f"lang{index}": index for index in range(2_000)},
]  # fmt: skip
BYTES = [
    b"", b"\xff\xfe", b"null", b"[]", b"{}", b"3", b'"x"', b"[" * 100_000, b"[" * 900 + b"]" * 900, b"{", b"\n" * 9,
    b"\x00" * 99, b"1" * 5_000, b'{"kind": "train", "step": 1}\n{"ki', SCRIPT.encode(),
]  # fmt: skip


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound") / "build"
    whole_build(folder)
    return folder


@pytest.fixture
def build(sound: Path, tmp_path: Path) -> Path:
    """A copy of a sound build."""
    return Path(shutil.copytree(sound, tmp_path / "build"))


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Manifests as they stand: what load_manifest lets through, today or later, may be anything."""

    def load(place: str, kind: str | None = None) -> Manifest:
        values = json.loads((Path(place) / MANIFEST).read_bytes())
        try:
            files = [ShardFile(**file) for file in values["files"]]
            return Manifest(**{field.name: values[field.name] for field in fields(Manifest)} | {"files": files})
        except (TypeError, KeyError) as error:
            raise ValueError(str(error)) from error

    for reader in (report_folder, datasets_dataset):
        monkeypatch.setattr(reader, "load_manifest", load)


def edit(path: Path, change: Callable[[Any], None]) -> None:
    values = json.loads(path.read_bytes())
    change(values)
    save(path, values)


def told(build: Path) -> str:
    """The page's text from "What cannot be read" on; the page is sound in every other way."""
    html = render(build)
    assert_harmless(html)
    page = Page(html).text
    return page[page.index("What cannot be read") :]


# ------------------------------------------------------------------------------------------- anything


def places_in(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a JSON value."""
    if not isinstance(value, dict | list):
        return
    for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        yield from places_in(inner)


def spoil(path: Path, draw: random.Random) -> None:
    """One fault in a file: a value that is another, a key gone or renamed, other bytes, or fewer."""
    data = path.read_bytes()
    how = draw.random()
    if how < 0.08:
        path.write_bytes(data[: draw.randrange(len(data) + 1)])
    elif how < 0.16:
        path.write_bytes(draw.choice(BYTES))
    else:
        lines = data.splitlines() if path.suffix == ".jsonl" else [data]
        line = draw.randrange(len(lines)) if lines else 0
        try:
            value = json.loads(lines[line])
            container, key = draw.choice(list(places_in(value)))
        except (ValueError, IndexError, TypeError, RecursionError):  # spoiled before
            return
        if isinstance(container, dict) and how < 0.3:
            moved = container.pop(key)
            if how < 0.25:
                container[draw.choice([HOSTILE, "", "\ud800", "../x", "é" * 5_000])] = moved
        else:
            container[key] = draw.choice(VALUES)
        lines[line] = json.dumps(value).encode()
        path.write_bytes(b"\n".join(lines) + (b"\n" if path.suffix == ".jsonl" else b""))


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("faults", [1, 8])
def test_whatever_is_in_the_files_there_is_a_harmless_page(build: Path, seed: int, faults: int, request: Any) -> None:
    draw = random.Random(f"{seed} {faults}")
    if seed % 3:  # else with the checks that load_manifest makes
        request.getfixturevalue("trusting")
    paths = sorted(path for path in build.rglob("*") if path.is_file() and path.name != "building.json")
    for path in draw.choices(paths, k=faults):
        spoil(path, draw)
    assert_harmless(render(build))


@pytest.mark.parametrize("value", VALUES[:-1], ids=lambda value: repr(value)[:30])
def test_whatever_one_value_is_everywhere(build: Path, value: Any, trusting: None) -> None:
    for path in build.rglob("*.json"):

        def replace(values: Any) -> None:
            leaves = [(inside, key) for inside, key in places_in(values) if not isinstance(inside[key], dict | list)]
            kept = {"kind", "path", "sha256", "rows", "bytes", "fingerprint"}
            for inside, key in leaves:
                if key not in kept:
                    inside[key] = value

        edit(path, replace)
    assert_harmless(render(build))


# ------------------------------------------------------------------------------------------- told


def test_what_a_dump_says_is_escaped(tmp_path: Path) -> None:
    corpus(tmp_path / HOSTILE.replace("/", "").replace("\x00", ""), HOSTILE, HOSTILE)
    html = render(next(tmp_path.iterdir()))
    assert_harmless(html)
    assert f"{SCRIPT}\ufffd&amp;\ufffd" in Page(html).text


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b'{"files": [', "pairs/manifest.json is no manifest"),
        (b"[" * 100_000, "pairs/manifest.json is no manifest"),
        (b"null", "pairs/manifest.json is no manifest"),
        (b'{"schema_version": 1, "files": []}', "pairs/manifest.json has schema version 1"),
    ],
)
def test_an_unusable_manifest_is_told(build: Path, data: bytes, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    (build / "pairs/manifest.json").write_bytes(data)
    page = told(build)
    assert says in page
    assert "Nothing of this dataset is shown" in page
    assert "Not in this build, or not readable: preference pairs." in page
    assert "warning: pairs/manifest.json: " in capsys.readouterr().err


def test_a_folder_of_unusable_manifests_has_a_page(build: Path) -> None:
    manifests = list(build.rglob(MANIFEST))
    for path in manifests:
        path.write_bytes(b"{")
    assert told(build).count("Nothing of this dataset is shown") == len(manifests) > 9


def test_another_dataset_in_its_place_is_told(build: Path) -> None:
    shutil.copy(build / "tokens/manifest.json", build / "pairs/manifest.json")
    assert "pairs is a tokens dataset; a pairs dataset is needed here" in told(build)


def test_a_manifest_that_is_a_folder_is_told(build: Path) -> None:
    (build / "pairs/manifest.json").unlink()
    (build / "pairs/manifest.json").mkdir()
    assert "pairs/manifest.json cannot be read: Is a directory" in told(build)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (HOSTILE, "counts.candidates.tie is '<script>alert(\"x\")</script>\\u202e&amp;\\x00'"),
        (-1, "counts.candidates.tie is -1"),
        (float("nan"), "counts.candidates.tie is nan"),
        (1 << 63, "counts.candidates.tie is 9223372036854775808"),
        (True, "counts.candidates.tie is True"),
        (2.0, "counts.candidates.tie is 2.0"),
        ([1, 2], "counts.candidates.tie is a list of 2"),
        ("9" * 500, f"counts.candidates.tie is '{'9' * 80}… (500 characters)'"),
    ],
)
def test_a_count_that_is_none_is_told_and_proves_nothing(build: Path, value: Any, says: str, trusting: None) -> None:
    edit(build / "pairs/manifest.json", lambda values: values["counts"]["candidates"].update(tie=value))
    page = told(build)
    assert f"pairs/manifest.json {says}, and should be a whole number from 0 to 2^63 - 1" in page
    assert "Not all counts can be read, so that this may be right or wrong: candidate pairs: 10 in, 8 found." in page
    assert "defect" not in page


def test_a_size_that_is_none_of_the_layer_s_stands_last(build: Path, trusting: None) -> None:
    sizes = {"odd": 5, "11-100": 1, "2-10": 1}
    edit(build / "layers/duplicates/manifest.json", lambda values: values["counts"].update(cluster_size=sizes))
    assert [word for word in Page(render(build)).words if word in sizes] == ["2-10", "11-100", "odd"]


def test_a_name_that_nobody_knows_is_shown(build: Path, trusting: None) -> None:
    def rename(values: Any) -> None:
        values["counts"]["candidates"] = {"kept": 7, SCRIPT: 3}
        named = values["files"][0]["path"]
        values["files"][0]["path"] = "data/secret-00000-of-00001.arrow"
        (build / "pairs" / named).rename(build / "pairs/data/secret-00000-of-00001.arrow")

    edit(build / "pairs/manifest.json", rename)
    page = Page(render(build))
    assert {SCRIPT, "secret"} <= set(page.words)
    assert "What cannot be read" not in page.text


def test_steps_of_two_builds_are_told(build: Path, trusting: None) -> None:
    edit(build / "documents/manifest.json", lambda values: values["files"][0].update(sha256="0" * 64))
    page = told(build)
    for later in ("layers/split", "pairs"):
        assert re.search(rf"{later}/manifest.json was made from another documents \([0-9a-f]{{16}}\) than stands", page)


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("documents/run.json", b"[1]", "started is missing"),
        ("documents/run.json", b'{"started": 5, "finished": 1e300}', "finished is 1e+300"),
        ("documents/run.json", b'{"started": 5, "finished": 4}', "finished (4.0) is before started (5.0)"),
        ("documents/run.json", b"{", "is no JSON"),
        ("tokenizer/card.json", b'{"validation": []}', "validation is a list of 0, and should be a mapping"),
        ("tokenizer/card.json", b"[" * 99_999, "is nested too deeply"),
        ("evaluation/evaluation.json", b'{"pairs": 3', "is no JSON"),
        ("evaluation/evaluation.json", b"{}", "accuracy.value is missing"),
        ("pretrain/metrics.jsonl", b'{"kind": "train", "step": 1, "lo', "ends within line 1"),
        ("pretrain/metrics.jsonl", b'\n{"kind": "train", "step": 1}\n\xff\n', "line 3: is no JSON"),
        ("pretrain/metrics.jsonl", b'{"kind": "train", "step": -1}\n', "line 1.step is -1"),
        ("pretrain/metrics.jsonl", b'{"kind": "train", "step": 1, "loss": NaN}\n', "line 1.loss is nan"),
    ],
)
def test_other_files_that_cannot_be_read_are_told(build: Path, name: str, data: bytes, says: str) -> None:
    (build / name).write_bytes(data)
    assert f"{name} {says}" in told(build)


@pytest.mark.parametrize("name", ["tokenizer/card.json", "evaluation/evaluation.json"])
def test_a_file_that_is_gone_is_told(build: Path, name: str) -> None:
    (build / name).unlink()
    assert f"{name} is missing" in told(build)


def test_half_a_line_costs_no_other(build: Path) -> None:
    with (build / "pretrain/metrics.jsonl").open("ab") as log:
        log.write(b'{"kind": "tr')
    page = told(build)
    assert "pretrain/metrics.jsonl ends within line 5: it is being written, or was cut off" in page
    assert "3 steps over 30 tokens." in page


# ------------------------------------------------------------------------------------------- much


def test_ten_thousand_languages_are_all_there(build: Path) -> None:
    names = [f"lan{index}_Latn" for index in range(10_000)]
    save(build / "evaluation/evaluation.json", EVALUATION | {"by_language": dict.fromkeys(names, PART)})
    assert set(names) <= set(Page(render(build)).words)


def test_many_troubles_are_counted(build: Path, trusting: None, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = {f"reason {index}": -1 for index in range(1_000)}
    edit(build / "pairs/manifest.json", lambda values: values["counts"].update(candidates=wrong))
    assert "1,000 things are not as a build writes them." in (page := told(build))
    assert "reason 499" in page
    assert "500 more are not listed." in page
    said = capsys.readouterr().err
    assert said.count("warning: ") == report.TROUBLES_SAID + 1
    assert "990 more such lines are on the page" in said


def test_a_long_text_is_cut_and_its_length_said(build: Path, trusting: None) -> None:
    edit(build / "documents/manifest.json", lambda values: values["inputs"][0].update(name="n" * 5_000))
    html = render(build)
    assert f"{'n' * 2_000}… (5,000 characters)" in html
    assert "n" * 2_001 not in html


def test_settings_may_be_nested_deeply(build: Path, trusting: None) -> None:
    def nest(values: Any) -> None:
        values["settings"]["deep"] = nested(400)

    edit(build / "tokens/manifest.json", nest)
    assert "… 1 more below" in render(build)


def test_nothing_reaches_the_terminal_that_acts_there(
    build: Path, trusting: None, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "\x1b[31m\u202e[bold]red[/bold]"
    edit(build / "pairs/manifest.json", lambda values: values["counts"]["candidates"].update({name: -1}))
    render(build)
    said = capsys.readouterr().err
    assert "[bold]red[/bold]" in said
    assert not re.search("[\x1b\u202e]", said)


def test_a_figure_that_was_edited_is_told(build: Path) -> None:
    place = build / "evaluation"
    values = json.loads((place / "evaluation.json").read_bytes())
    shutil.rmtree(place)
    with opened(place, DatasetSpec("evaluation", {})) as begun:
        begun.build.write_file("evaluation.json", json.dumps(values).encode())
        begun.commit(["evaluation.json"])
    assert "evaluation.json is not the file" not in Page(render(build)).text
    values["accuracy"]["value"] = 0.99
    (place / "evaluation.json").write_text(json.dumps(values))
    assert "evaluation/evaluation.json is not the file that was made" in told(build)
