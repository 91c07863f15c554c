"""New documents against finished builds: in parts as at once, fates that stay, and what is refused."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines import annotate
from tests import laws
from tests.test_annotate import read, write_documents
from tests.test_dedup import edited, text
from transforms.datasets import shards
from transforms.datasets.manifest import load_manifest
from transforms.datasets.standing import Existing
from transforms.dedup.spec import MinHashSpec
from transforms.layers import duplicates
from transforms.layers.kinds import settings_of
from transforms.layers.read import find_layers

SPEC = MinHashSpec(across_languages=True)
FATE = ("kept", "rule", "similarity", "containment", "keep", "cluster")

Rows = list[dict[str, Any]]


def document(name: str, said: str, part: int = 0) -> dict[str, Any]:
    return {"doc_id": name, "thread_id": name, "text": said, "source": f"part{part}"}


def annotated(
    place: Path, rows: Rows, against: Sequence[Path] = (), spec: MinHashSpec = SPEC, num_shards: int = 2, **more: Any
) -> Path:
    """The layers of these documents, held against those at other places."""
    documents = place / "documents"
    if not documents.exists():
        write_documents(documents, rows, num_shards)
    spec = replace(spec, against=tuple(map(str, against)))
    settings = settings_of({"signatures": None}, "here") | {"duplicates": spec}
    annotate.run(str(documents), str(place / "layers"), settings, **more)
    return place / "layers"


def fates(layers: Path, columns: Sequence[str] = FATE) -> dict[str, tuple[Any, ...]]:
    return {row["doc_id"]: tuple(row[name] for name in columns) for row in read(layers, "duplicates")}


def corpus(seed: int, number: int = 240, parts: int = 3) -> Rows:
    """Texts, edits of them and of edits, copies, short ones, code that stands as prose as well: over all parts."""
    chance = random.Random(seed)
    said: list[str] = []
    while len(said) < number:
        of = chance.choice(said) if said else text(seed)
        kind = chance.choice(["new", "short", "copy", "copy", "edit", "edit", "cut", "code"])
        if kind == "new":
            of = text(seed * 1_000 + len(said), chance.choice([12, 30, 60, 120]))
        elif kind == "short":
            of = f"Thanks {chance.randrange(4)}"
        elif kind == "copy":
            of = chance.choice([f"{of}.", of.upper(), f"  {of}"])
        elif kind == "edit":
            for _ in range(chance.choice([1, 2])):
                of = edited(of, chance.randrange(len(of.split())))
        elif kind == "cut":
            of = " ".join(of.split()[: max(1, len(of.split()) * 3 // 4)])
        else:
            code = f"call(a{chance.randrange(3)}, b)\nother(c, d) and so on"
            of = chance.choice([code, code.replace("call", "    call").replace("other", "    other"), f"{code} indeed"])
        said.append(of)
    return [document(f"d{n:03d}", of, chance.randrange(parts)) for n, of in enumerate(said)]


def test_parts_one_by_one_are_what_they_are_at_once(tmp_path: Path) -> None:
    """Fates are those of one build in which parts have priority in their order; a cluster counts who came so far."""
    rows = corpus(1)
    spec = replace(SPEC, priority=("part0", "part1", "part2"))
    whole = annotated(tmp_path / "whole", rows, spec=spec, num_shards=4)
    parts: list[Path] = []
    for number in range(3):
        some = [row for row in rows if row["source"] == f"part{number}"]
        parts.append(annotated(tmp_path / f"part{number}", some, parts, spec, num_shards=1 + number))
    found: dict[str, tuple[Any, ...]] = {}
    for part in parts:
        found |= fates(part)
    wanted = fates(whole)
    assert found == wanted
    rules = {fate[1] for fate in wanted.values()}
    assert rules >= {None, "exact", "jaccard"}
    across = [
        name for name, fate in found.items() if fate[0] and (name in fates(parts[2])) != (fate[0] in fates(parts[2]))
    ]
    assert len(across) > 10, "many went for documents of earlier parts"
    assert fates(parts[2], ["cluster_size"]).items() <= fates(whole, ["cluster_size"]).items()


def test_of_nested_texts_a_later_one_joins_none_that_were_not_compared(tmp_path: Path) -> None:
    """The middle one of three begins as none of the others and is like both, which share a band and little else."""
    rows = []
    for number in range(120):
        words = text(1_000 + number, 40).split()
        for name, of, part in (("long", words, 0), ("short", words[10:28], 0), ("middle", words[5:36], 1)):
            rows.append(document(f"{name}{number:03d}", " ".join(of), part))
    spec = replace(SPEC, priority=("part0", "part1"))
    first = annotated(tmp_path / "first", [row for row in rows if row["source"] == "part0"], spec=spec)
    second = annotated(tmp_path / "second", [row for row in rows if row["source"] == "part1"], [first], spec)
    whole = fates(annotated(tmp_path / "whole", rows, spec=spec))
    assert fates(first) | fates(second) == whole
    assert {fate[0] is None for name, fate in whole.items() if "short" in name} == {True, False}


def test_a_later_copy_flips_no_survivor_however_much_better_it_is(tmp_path: Path) -> None:
    base = text(1, 60)
    first = annotated(tmp_path / "first", [document("z9", base)])
    before = laws.files_of(first)
    longer = f"{base} and more"
    later = annotated(
        tmp_path / "later", [document("a1", longer), document("a2", base), document("a3", text(2))], [first]
    )
    assert laws.files_of(first) == before
    kept = fates(later, ["kept", "rule"])
    assert kept == {"a1": ("z9", "jaccard"), "a2": ("z9", "exact"), "a3": (None, None)}
    assert fates(annotated(tmp_path / "alone", [document("a1", longer), document("a2", base)]), ["kept"])["a1"] == (
        None,
    )


def test_a_copy_of_a_removed_document_goes_for_what_that_went_for(tmp_path: Path) -> None:
    """Though it would have survived alone, and though what it goes for is no nearer than that."""
    base = text(1, 60)
    first = annotated(tmp_path / "first", [document("long", f"{base} indeed"), document("gone", base)])
    second = annotated(tmp_path / "second", [document("copy", f"{base}."), document("twin", base.upper())], [first])
    assert fates(first)["gone"][1] == "jaccard"
    assert fates(second) == {"copy": fates(first)["gone"], "twin": fates(first)["gone"]}
    assert {size for (size,) in fates(second, ["cluster_size"]).values()} == {4}
    # a build that was itself held against another is enough to know what became of its documents
    third = annotated(tmp_path / "third", [document("again", base), document("other", text(3))], [second])
    assert fates(third)["again"] == fates(first)["gone"]
    assert fates(third)["other"][0] is None


def test_builds_that_were_not_held_against_each_other_keep_their_survivors(tmp_path: Path) -> None:
    base = text(1, 60).split()
    second = [*map("changed{}".format, range(8)), *base[8:]]
    third = [*second[:52], *map("other{}".format, range(8))]
    builds = [
        annotated(tmp_path / name, [document(name, " ".join(words))])
        for name, words in (("first", base), ("second", second))
    ]
    new = [document("third", " ".join(third)), document("again", " ".join(second))]
    assert fates(annotated(tmp_path / "new", new, builds), ["kept", "rule"]) == {
        "third": ("second", "lcs"),
        "again": ("second", "exact"),
    }


def test_what_one_build_keeps_is_compared_though_another_removed_its_text(tmp_path: Path) -> None:
    base = text(1, 60).split()
    longer = [*base[:30], "other", "words", *base[32:], "and", "some", "more"]
    builds = [
        annotated(tmp_path / "first", [document("longer", " ".join(longer)), document("gone", " ".join(base))]),
        annotated(tmp_path / "second", [document("kept", " ".join(base))]),
    ]
    assert fates(builds[0], ["kept"]) == {"longer": (None,), "gone": ("longer",)}
    edit = [*base[:50], *map("changed{}".format, range(8)), *base[58:]]
    new = [document("edit", " ".join(edit)), document("copy", " ".join(base))]
    wanted = {"edit": ("kept", "lcs"), "copy": ("kept", "exact")}
    assert fates(annotated(tmp_path / "new", new, builds), ["kept", "rule"]) == wanted


def test_the_same_document_may_come_again(tmp_path: Path) -> None:
    rows = [document("a", text(1)), document("b", text(2))]
    first = annotated(tmp_path / "first", rows)
    again = annotated(tmp_path / "again", [*rows, document("c", text(3))], [first])
    assert fates(again, ["kept", "rule"]) == {"a": ("a", "exact"), "b": ("b", "exact"), "c": (None, None)}


def test_languages_stay_apart_and_need_no_texts_of_before(tmp_path: Path) -> None:
    said = "the answer to this is in the book that stands on the shelf over there"
    settings = settings_of({"language": None, "signatures": None, "duplicates": None}, "here")
    for name, rows in (
        ("first", [document("a", said)]),
        ("second", [document("b", said), document("c", "ja genau so")]),
    ):
        documents = write_documents(tmp_path / name / "documents", rows, 1)
        annotate.run(documents, str(tmp_path / name / "layers"), settings)
        shutil.rmtree(documents)
        settings["duplicates"] = MinHashSpec(against=str(tmp_path / "first" / "layers"))
    assert fates(tmp_path / "second" / "layers", ["kept", "rule"]) == {"b": ("a", "exact"), "c": (None, None)}


def test_workers_shards_and_a_kill_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = corpus(3, 120, 2)
    some = {number: [row for row in rows if row["source"] == f"part{number}"] for number in range(2)}
    first = annotated(tmp_path / "first", some[0], num_shards=3)
    one = annotated(tmp_path / "one", some[1], [first], num_shards=4)
    annotated(tmp_path / "two", some[1], [first], num_shards=4, workers=2)
    laws.assert_same_bytes(one, tmp_path / "two" / "layers")
    other = annotated(tmp_path / "other", some[0][::-1], num_shards=1)
    assert fates(annotated(tmp_path / "cut", some[1], [other], num_shards=2)) == fates(one)

    write_shard, done = shards.write_shard, []

    def stop_at_the_third(*arguments: Any) -> Any:
        if len(done) == 2:
            raise RuntimeError("killed here")
        done.append(write_shard(*arguments))
        return done[-1]

    write_documents(tmp_path / "killed" / "documents", some[1], 4)
    with monkeypatch.context() as patch:
        patch.setattr(shards, "write_shard", stop_at_the_third)
        with pytest.raises(RuntimeError, match="killed here"):
            annotated(tmp_path / "killed", some[1], [first], num_shards=4)
    laws.assert_same_bytes(one, annotated(tmp_path / "killed", some[1], [first]))
    laws.assert_idempotent(one, lambda: annotated(tmp_path / "one", some[1], [first]))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("finished")
    annotated(place, [document("a", text(1)), document("b", text(1)), document("c", edited(text(1), 3))])
    return place


def test_signatures_hold_tokens_of_the_kept_and_digests(finished: Path) -> None:
    rows = {row["doc_id"]: row for row in read(finished / "layers", "signatures")}
    assert [len(rows[name]["tokens"]) for name in "abc"] == [120, 0, 0]
    assert [len(rows[name]["bands"]) for name in "abc"] == [SPEC.bands + 2, 1, SPEC.bands + 2]
    assert rows["a"]["digest"] == rows["b"]["digest"] != rows["c"]["digest"]
    manifest = load_manifest(str(finished / "layers" / "signatures"))
    assert manifest.counts["signatures"] == {"tokens": 1}
    assert set(manifest.parents) == {"documents", "layers/duplicates"}
    assert manifest.settings["bands"] == SPEC.bands


def test_what_is_no_such_build_is_refused(tmp_path: Path, finished: Path) -> None:
    def refused(match: str, against: Path, spec: MinHashSpec = SPEC) -> None:
        with pytest.raises(ValueError, match=match):
            annotated(tmp_path / "new", [document("d", text(4))], [against], spec)
        assert not list((tmp_path / "new" / "layers").glob("*/manifest.json"))

    refused(
        "made with other settings.*: bands 14, here 20, rows 8, here 5",
        finished / "layers",
        replace(SPEC, bands=20, rows=5),
    )
    refused(
        "no duplicates and no signatures layer at .*nowhere; .*--layers duplicates,signatures", tmp_path / "nowhere"
    )
    without = tmp_path / "without"
    shutil.copytree(finished / "layers", without)
    shutil.rmtree(without / "signatures")
    refused("no signatures layer at .*without; .*agora annotate DOCS --layers signatures -o .*without", without)
    stale = annotated(tmp_path / "stale", [document("a", text(1)), document("b", text(1)), document("c", text(5))])
    shutil.rmtree(stale / "signatures")
    shutil.copytree(finished / "layers" / "signatures", stale / "signatures")
    refused(r"signatures layer .* was made from another duplicates layer", stale)


def test_a_build_of_another_version_is_refused(tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "_STEP", replace(duplicates._STEP, version=99))
    with pytest.raises(ValueError, match=r"duplicates layer .* other versions.*: step 2, here 99"):
        annotated(tmp_path / "new", [document("d", text(4))], [finished / "layers"])


def test_documents_are_not_held_against_themselves(tmp_path: Path) -> None:
    rows = [document("a", text(1)), document("b", text(2))]
    layers = annotated(tmp_path, rows)
    with pytest.raises(ValueError, match="against layers of itself"):
        annotated(tmp_path, rows, [layers], existing=Existing.REPLACE)
    assert fates(layers, ["keep"]) == {"a": (True,), "b": (True,)}


def test_the_command_line_names_builds() -> None:
    chosen = annotate.chosen_settings(["duplicates"], ["duplicates.bands=20"], ["a: b", "c"])
    assert chosen == {"duplicates": MinHashSpec(bands=20, against=("a: b", "c"))}
    with pytest.raises(ValueError, match="settings for duplicates, which --layers does not name"):
        annotate.chosen_settings(["split"], [], ["a"])
    with pytest.raises(ValueError, match="against names 'a' twice"):
        annotate.chosen_settings(["duplicates"], [], ["a", "a"])
    with pytest.raises(ValueError, match="the signatures layer has no settings, got 3"):
        annotate.chosen_settings(["signatures"], ["signatures=3"])
    with pytest.raises(
        ValueError, match="at signatures: unknown key 'bands'; there are no settings here: leave it out"
    ):
        annotate.chosen_settings(["signatures"], ["signatures.bands=3"])
    assert "signatures" not in annotate.DEFAULT_LAYERS


def test_pairs_and_curricula_pass_signatures_by(finished: Path) -> None:
    documents = load_manifest(str(finished / "documents"))
    assert list(find_layers(documents, str(finished / "layers"), []).layers) == ["duplicates"]


def test_damage_to_a_build_is_told_by_its_file(tmp_path: Path, finished: Path) -> None:
    layers = tmp_path / "damaged"
    shutil.copytree(finished / "layers", layers)
    file = next((layers / "signatures" / "data").iterdir())
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(Exception, match=rf"signatures.*{file.name}"):
        annotated(tmp_path / "new", [document("d", text(4))], [layers])
