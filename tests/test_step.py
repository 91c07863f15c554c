"""A step is begun, built, checked and committed in one place, and an upgrade is never "unchanged"."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.progress import summary
from tests import laws
from tests.small_dataset import PATHS, opened, write, write_all
from transforms.datasets import step
from transforms.datasets.building import Build
from transforms.datasets.manifest import DatasetSpec, Manifest, load_manifest
from transforms.datasets.names import MANIFEST
from transforms.datasets.opening import HeldBackError, nothing_to_check
from transforms.datasets.standing import Existing
from transforms.datasets.step import RefusedError, Step, Wanted, Whole, make, make_one

SPLIT = Step("split", version=1, libraries=("ftfy", "tokenizers"))
SETTINGS = {"holdout": 0.1}


def made(
    place: Path,
    spec: DatasetSpec | None = None,
    existing: Existing = Existing.REFUSE,
    check: Callable[[Manifest], None] = nothing_to_check,
) -> tuple[Manifest, int]:
    """The dataset, and how often it was written."""
    runs: list[None] = []
    spec = spec or SPLIT.spec(SETTINGS)

    def write_both(build: Build) -> Whole:
        runs.append(None)
        write_all(build)
        return Whole(counts={"whole": {"all": 1}})

    return make_one(Wanted(str(place), spec, PATHS, check=check), existing, write_both), len(runs)


def upgraded(monkeypatch: pytest.MonkeyPatch, versions: Mapping[str, str]) -> None:
    monkeypatch.setattr(step, "version", versions.__getitem__)


def test_a_step_is_made_once_and_says_with_which_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upgraded(monkeypatch, {"ftfy": "6.3.1", "tokenizers": "0.23"})
    manifest, runs = made(tmp_path)
    assert runs == 1
    assert manifest.versions == {"step": "1", "ftfy": "6.3.1", "tokenizers": "0.23"}
    assert manifest.counts["whole"] == {"all": 1}
    assert laws.assert_sound(tmp_path) == manifest
    assert made(tmp_path) == (manifest, 0)
    assert laws.no_strays(tmp_path)


@pytest.mark.parametrize("changed", [{"ftfy": "6.4.0"}, {"tokenizers": "1.0"}, {"ftfy": "6.4.0", "tokenizers": "1.0"}])
def test_an_upgraded_library_is_refused_by_name(
    changed: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {"ftfy": "6.3.1", "tokenizers": "0.23"}
    upgraded(monkeypatch, before)
    made(tmp_path)
    upgraded(monkeypatch, before | changed)
    with pytest.raises(ValueError, match="--keep") as refused:
        made(tmp_path)
    for name in before:
        told = f"{name} {before[name]} there, {changed.get(name)} here"
        assert (told in str(refused.value)) is (name in changed)


def test_a_raised_version_of_the_step_is_refused_by_name(tmp_path: Path) -> None:
    made(tmp_path)
    raised = replace(SPLIT, version=2).spec(SETTINGS)
    assert raised.fingerprint != SPLIT.spec(SETTINGS).fingerprint
    with pytest.raises(ValueError, match=r"made with other versions \(step 1 there, 2 here\)"):
        made(tmp_path, raised)
    assert made(tmp_path, raised, Existing.REPLACE)[0].versions["step"] == "2"


def test_keep_goes_on_with_what_stands_and_the_manifest_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after, later = ({"ftfy": number, "tokenizers": "0.23"} for number in ("6.3.1", "6.4.0", "6.5.0"))
    upgraded(monkeypatch, before)
    first, _ = made(tmp_path)
    upgraded(monkeypatch, after)
    kept, runs = made(tmp_path, existing=Existing.KEEP)
    assert runs == 0
    assert (kept.versions, kept.kept_with) == (first.versions, ({"step": "1", **after},))
    assert kept.digest == first.digest, "what was made from it is not made anew"
    assert summary(kept).endswith(" · kept, made with ftfy 6.3.1")
    assert "kept" not in summary(first)
    assert load_manifest(str(tmp_path)) == kept
    assert made(tmp_path) == (kept, 0), "said once, it need not be said again"
    upgraded(monkeypatch, before)
    assert made(tmp_path) == (kept, 0)
    upgraded(monkeypatch, later)
    with pytest.raises(ValueError, match=r"ftfy 6\.3\.1 there \(kept with 6\.4\.0\), 6\.5\.0 here"):
        made(tmp_path)
    made(tmp_path, existing=Existing.KEEP)
    for versions in (before, after, later):  # machines with either version may take turns
        upgraded(monkeypatch, versions)
        assert made(tmp_path)[1] == 0


def test_keep_is_for_versions_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upgraded(monkeypatch, {"ftfy": "6.3.1", "tokenizers": "0.23"})
    made(tmp_path)
    upgraded(monkeypatch, {"ftfy": "6.4.0", "tokenizers": "0.23"})
    for other, how in (
        (SPLIT.spec({"holdout": 0.2}), r"differs in holdout \(0\.1 there, 0\.2 here\)"),
        (SPLIT.spec({"holdout": {"a": [1] * 99}}), "differs in holdout;"),
        (SPLIT.spec(SETTINGS, {"documents": "d"}), "was made without documents"),
        (DatasetSpec("tokens", SETTINGS), "differs in kind"),
    ):
        with pytest.raises(ValueError, match=how):
            made(tmp_path, other, Existing.KEEP)
    (tmp_path / PATHS[0]).write_bytes(b"short")
    with pytest.raises(ValueError, match="is damaged"):
        made(tmp_path, existing=Existing.KEEP)


def test_parts_of_another_version_are_not_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upgraded(monkeypatch, {"ftfy": "6.3.1", "tokenizers": "0.23"})
    with opened(tmp_path, SPLIT.spec(SETTINGS)) as old:
        write(old.build, PATHS[0])
    upgraded(monkeypatch, {"ftfy": "6.4.0", "tokenizers": "0.23"})
    with opened(tmp_path, SPLIT.spec(SETTINGS)) as new:
        assert new.build.finished(PATHS[0]) is None


def test_replace_and_keep_exclude_each_other() -> None:
    assert [Existing.of(False, False), Existing.of(True, False), Existing.of(False, True)] == list(Existing)
    with pytest.raises(ValueError, match="exclude each other"):
        Existing.of(True, True)


def test_a_library_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="the library no-such-library is not installed"):
        Step("split", 1, ("no-such-library",)).spec({})


# ------------------------------------------------------------------------------------- what is left behind


def test_a_refused_build_leaves_nothing(tmp_path: Path) -> None:
    spec = SPLIT.spec(SETTINGS)

    def refuse(build: Build) -> None:
        write(build, PATHS[0])
        raise RefusedError("too many drops")

    with pytest.raises(ValueError, match="too many drops"):
        make_one(Wanted(str(tmp_path), spec, PATHS), Existing.REFUSE, refuse)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_check_publishes_nothing_and_sees_the_whole(tmp_path: Path) -> None:
    seen: list[Manifest] = []

    def check(manifest: Manifest) -> None:
        seen.append(manifest)
        assert not (tmp_path / MANIFEST).exists(), "nobody else has seen it"
        raise ValueError("tokens were lost")

    with pytest.raises(ValueError, match="tokens were lost"):
        made(tmp_path, check=check)
    assert list(tmp_path.iterdir()) == []
    assert [manifest.rows for manifest in seen] == [20]


def test_what_a_check_holds_back_is_kept_and_published_by_a_run_that_allows_it(tmp_path: Path) -> None:
    def hold_back(manifest: Manifest) -> None:
        raise HeldBackError("most of it is gone")

    with pytest.raises(HeldBackError, match="most of it is gone"):
        made(tmp_path, check=hold_back)
    assert not (tmp_path / MANIFEST).exists()
    with opened(tmp_path, SPLIT.spec(SETTINGS)) as again:
        assert all(again.build.finished(path) is not None for path in PATHS)
    assert made(tmp_path)[0] == laws.assert_sound(tmp_path)


def test_another_error_keeps_what_is_finished(tmp_path: Path) -> None:
    spec = SPLIT.spec(SETTINGS)

    def fail(build: Build) -> None:
        write(build, PATHS[0])
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        make_one(Wanted(str(tmp_path), spec, PATHS), Existing.REFUSE, fail)
    with opened(tmp_path, spec) as again:
        assert again.build.finished(PATHS[0]) is not None


def test_a_refusal_of_one_dataset_leaves_those_beside_it_as_they_were(tmp_path: Path) -> None:
    """`--replace` must not have removed the first when the second turns out to be somebody's thesis."""
    first, second = tmp_path / "first", tmp_path / "second"
    before, _ = made(first)
    second.mkdir()
    (second / "thesis.txt").write_text("precious")
    other = SPLIT.spec({"holdout": 0.2})
    with pytest.raises(ValueError, match="not a dataset of ours"):
        make([Wanted(str(place), other, PATHS) for place in (first, second)], Existing.REPLACE, lambda missing: None)
    assert laws.assert_sound(first) == before


def test_only_what_is_missing_is_built(tmp_path: Path) -> None:
    spec = SPLIT.spec(SETTINGS)
    standing, _ = made(tmp_path / "a")
    asked: list[str] = []

    def write_missing(missing: Sequence[Build]) -> None:
        for build in missing:
            asked.append(build.work)
            write_all(build)

    both = [Wanted(str(tmp_path / name), spec, PATHS) for name in ("a", "b")]
    manifests = make(both, Existing.REFUSE, write_missing)
    assert asked == [str(tmp_path / "b")]
    assert manifests[0] == standing
    assert manifests[1].digest == standing.digest


def test_the_output_is_none_of_what_is_read(tmp_path: Path) -> None:
    documents = tmp_path / "documents"
    before, _ = made(documents)
    other = SPLIT.spec({"holdout": 0.2})
    for place in (documents, documents / ".." / "documents"):
        wanted = Wanted(str(place), other, PATHS, reads=[str(documents)])
        with pytest.raises(ValueError, match="would be replaced by them; name another output"):
            make_one(wanted, Existing.REPLACE, lambda build: None)
    assert laws.assert_sound(documents) == before


def test_keep_writes_nothing_when_one_of_several_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upgraded(monkeypatch, {"ftfy": "6.3.1", "tokenizers": "0.23"})
    first, second = (made(tmp_path / name)[0] for name in ("a", "b"))
    upgraded(monkeypatch, {"ftfy": "6.4.0", "tokenizers": "0.23"})
    specs = {"a": SPLIT.spec(SETTINGS), "b": SPLIT.spec({"holdout": 0.2})}
    both = [Wanted(str(tmp_path / name), spec, PATHS) for name, spec in specs.items()]
    with pytest.raises(ValueError, match="differs in holdout"):
        make(both, Existing.KEEP, lambda missing: None)
    assert [laws.assert_sound(tmp_path / name) for name in specs] == [first, second]


@pytest.mark.parametrize("junk", [b"", b"junk", b"{}", b"[]", b'{"path": "x"}', b"[" * 50_000])
def test_unreadable_records_of_a_build_are_unfinished_work(junk: bytes, tmp_path: Path) -> None:
    spec = SPLIT.spec(SETTINGS)
    made(tmp_path / "whole")
    for name in ("building/000001.json", "parts/data__00000-of-00002.arrow.json"):
        place = tmp_path / name.partition("/")[0]
        with opened(place, spec) as begun:
            write_all(begun.build)
        (place / name).write_bytes(junk)
        assert made(place)[1] == 1
        laws.assert_same_bytes(place, tmp_path / "whole")


# ------------------------------------------------------------------------------------- another schema version


def test_a_dataset_of_another_schema_version_is_named_and_can_be_replaced(tmp_path: Path) -> None:
    made(tmp_path)
    values = json.loads((tmp_path / MANIFEST).read_text())
    del values["versions"]
    (tmp_path / MANIFEST).write_text(json.dumps(values | {"schema_version": 1, "gone": {}}))
    (tmp_path / "NOTES.txt").write_text("mine")
    for existing in (Existing.REFUSE, Existing.KEEP):
        with pytest.raises(
            ValueError, match=r"manifest\.json has schema version 1, this Agora reads and writes 4; build it anew with"
        ):
            made(tmp_path, existing=existing)
    made(tmp_path, existing=Existing.REPLACE)
    laws.assert_sound(tmp_path)
    assert (tmp_path / "NOTES.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b"{broken", "is no manifest"),
        (b"[]", "is no manifest"),
        (b'{"schema_version": 4, "files": []}', "was changed after it was written"),
        (b'{"schema_version": 4, "files": [{"path": "../precious"}]}', "names a file outside its folder"),
        (b'{"schema_version": 1, "files": [{"path": "/precious"}]}', "names a file outside its folder"),
        (b'{"schema_version": 1, "files": [{"path": ""}]}', "names a file outside its folder"),
        (b'{"schema_version": 1, "files": [{"path": "data/../../precious"}]}', "names a file outside its folder"),
    ],
)
def test_what_is_no_manifest_is_named_and_can_be_replaced(text: bytes, what: str, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    made(tmp_path / "here")
    (tmp_path / "here" / MANIFEST).write_bytes(text)
    for existing in (Existing.REFUSE, Existing.KEEP):
        with pytest.raises(ValueError, match=rf"here/manifest\.json {what}"):
            made(tmp_path / "here", existing=existing)
    made(tmp_path / "here", existing=Existing.REPLACE)
    laws.assert_sound(tmp_path / "here")
    assert (tmp_path / "precious").read_text() == "mine"
