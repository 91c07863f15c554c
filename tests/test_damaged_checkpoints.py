"""A checkpoint that is not as it was written is never loaded: the run goes on from the one before, or is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from trainers import checkpoint, checkpoint_state
from trainers.checkpoint_state import STATE
from trainers.parallel import Ranks
from transforms.datasets import places, sealed
from transforms.datasets.checks import DamagedError

ALONE = Ranks(0, 1, torch.device("cpu"), None)
IDENTITY = {"settings": {"seed": 0, "lr": 1e-05}, "data": "é"}
OWN = {"identity": IDENTITY, "loader": {"step": 1}, "skipped": 0, "ranks": 1, "exports": 0, "selection": {}}
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "all but the last byte": lambda data: data[:-1],
    "a byte more": lambda data: data + b"\n",
    "first byte": lambda data: flipped(data, 0),
    "second byte": lambda data: flipped(data, 1),
    "byte in the middle": lambda data: flipped(data, len(data) // 2),
    "byte in the last quarter": lambda data: flipped(data, len(data) * 3 // 4),
    "last byte": lambda data: flipped(data, -1),
    "zeros": lambda data: bytes(len(data)),
}


def flipped(data: bytes, at: int, mask: int = 1) -> bytes:
    changed = bytearray(data)
    changed[at] ^= mask
    return bytes(changed)


class Small:
    """A model in training."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = torch.nn.Linear(4, 4)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.1)

    def save(self, output: Path, *steps: int, keep: int = 9) -> dict[str, dict[str, Tensor]]:
        """Trains on and saves at each step; returns the weights of each checkpoint."""
        kept = {}
        for step in steps:
            self.model(torch.ones(1, 4)).sum().backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
            saved = checkpoint.save(output, step, self.model, self.optimizer, OWN, keep, ALONE)
            kept[saved.name] = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        return kept

    def holds(self, weights: dict[str, Tensor]) -> bool:
        return all(torch.equal(tensor, weights[name]) for name, tensor in self.model.state_dict().items())


def resume(output: Path) -> tuple[Path | None, list[str]]:
    """The checkpoint to go on from, and what was said of others."""
    said: list[str] = []
    found = checkpoint.newest_sound(output, IDENTITY, ALONE, said.append)
    return found[0] if found else None, said


def names(output: Path) -> list[str]:
    return sorted(path.name for path in (output / checkpoint.FOLDER).iterdir())


def files(saved: Path) -> list[str]:
    found = sorted(path.name for path in saved.iterdir())
    assert found == [".metadata", "__0_0.distcp", STATE]
    return found


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, Tensor]]]:
    output = tmp_path_factory.mktemp("two")
    return output, Small().save(output, 3, 6)


@pytest.mark.parametrize("damage", [*DAMAGES, "removed"])
def test_whatever_happens_to_a_file_the_one_before_is_loaded(
    two: tuple[Path, dict[str, dict[str, Tensor]]], tmp_path: Path, damage: str
) -> None:
    whole, weights = two
    for name in files(whole / checkpoint.FOLDER / "step-00000006"):
        output = tmp_path / name
        shutil.copytree(whole, output)
        harm(output, "step-00000006", name, damage)
        found, said = resume(output)
        assert found is not None
        assert found.name == "step-00000003"
        assert len(said) == 1
        assert said[0].startswith(f"step-00000006 is damaged ({name} ")
        assert names(output) == ["damaged-00000006", "step-00000003"]
        here = Small()
        checkpoint.load(found, here.model, here.optimizer, ALONE)
        assert here.holds(weights["step-00000003"])


def harm(output: Path, step: str, name: str, damage: str) -> None:
    path = output / checkpoint.FOLDER / step / name
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes(DAMAGES[damage](path.read_bytes()))


def test_the_fault_is_told_in_one_line(tmp_path: Path) -> None:
    Small().save(tmp_path, 3, 6)
    path = tmp_path / checkpoint.FOLDER / "step-00000006" / "__0_0.distcp"
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:100])
    _, said = resume(tmp_path)
    assert said == [
        f"step-00000006 is damaged (__0_0.distcp has 100 bytes, {size} were written): "
        "passed over, and kept as damaged-00000006 until the next save"
    ]


def test_a_file_that_cannot_be_read_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a bad disk; raised on one rank it would leave the others waiting."""
    Small().save(tmp_path, 3, 6)
    read = places.xxh3

    def fail(place: str) -> str:
        if "step-00000006" in place:
            raise OSError(5, "Input/output error")
        return read(place)

    monkeypatch.setattr(places, "xxh3", fail)
    found, said = resume(tmp_path)
    assert found is not None
    assert found.name == "step-00000003"
    assert "(.metadata cannot be read: [Errno 5] Input/output error)" in said[0]


@pytest.mark.parametrize("mask", [0x01, 0x07, 0x20, 0x80])
def test_no_byte_of_the_state_can_change(two: tuple[Path, dict[str, dict[str, Tensor]]], mask: int) -> None:
    """Nor one that means the same: the e of 1e-05, the case of an escaped letter, the end of a line."""
    saved = two[0] / checkpoint.FOLDER / "step-00000006"
    written = (saved / STATE).read_bytes()
    assert b"1e-05" in written
    assert "é".encode() in written
    copy = saved.parent.parent / "flipped" / saved.name
    copy.mkdir(parents=True, exist_ok=True)
    for at in range(len(written)):
        (copy / STATE).write_bytes(flipped(written, at, mask))
        with pytest.raises(DamagedError, match=STATE):
            checkpoint_state.read(copy)
    (copy / STATE).write_bytes(written)
    assert checkpoint_state.read(copy)["identity"] == IDENTITY


@pytest.mark.parametrize(
    "text", ["[]", "7", "null", "{}", '"step"', "[" * 100_000, '{"step": 6, "files": {}}', "\ud83d"]
)
def test_a_state_that_is_none_is_damage(tmp_path: Path, text: str) -> None:
    Small().save(tmp_path, 3, 6)
    state = tmp_path / checkpoint.FOLDER / "step-00000006" / STATE
    state.write_bytes(text.encode("utf-8", "surrogatepass"))
    found, said = resume(tmp_path)
    assert found == state.parent.with_name("step-00000003")
    assert len(said) == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("step", "6"),
        ("step", 7),
        ("identity", None),
        ("loader", []),
        ("skipped", 0.5),
        ("ranks", None),
        ("files", []),
        ("files", {".metadata": 5}),
        ("files", {".metadata": {"bytes": 5}}),
        ("files", {".metadata": {"bytes": "5", "xxh3": 5}}),
    ],
)
def test_a_state_with_a_right_digest_and_a_wrong_value_is_damage(tmp_path: Path, key: str, value: object) -> None:
    Small().save(tmp_path, 3, 6)
    saved = tmp_path / checkpoint.FOLDER / "step-00000006"
    values = {**checkpoint_state.read(saved), key: value}
    (saved / STATE).write_bytes(sealed.seal(values))
    found, said = resume(tmp_path)
    assert found == saved.with_name("step-00000003")
    assert len(said) == 1


@pytest.mark.parametrize("missing", list(checkpoint_state._KINDS))
def test_a_state_that_lacks_a_key_is_damage(tmp_path: Path, missing: str) -> None:
    Small().save(tmp_path, 3, 6)
    saved = tmp_path / checkpoint.FOLDER / "step-00000006"
    values = {key: value for key, value in checkpoint_state.read(saved).items() if key != missing}
    (saved / STATE).write_bytes(sealed.seal(values))
    assert resume(tmp_path)[0] == saved.with_name("step-00000003")


def test_a_checkpoint_under_another_step_s_name_is_damage(tmp_path: Path) -> None:
    Small().save(tmp_path, 3)
    saved = tmp_path / checkpoint.FOLDER / "step-00000003"
    shutil.copytree(saved, saved.with_name("step-00000009"))
    assert resume(tmp_path) == (
        saved,
        [
            "step-00000009 is damaged (state.json is that of step-00000003): "
            "passed over, and kept as damaged-00000009 until the next save"
        ],
    )


def test_several_damaged_ones_are_passed_over(tmp_path: Path) -> None:
    Small().save(tmp_path, 1, 2, 3, 4)
    harm(tmp_path, "step-00000004", STATE, "removed")
    harm(tmp_path, "step-00000003", ".metadata", "half")
    harm(tmp_path, "step-00000001", ".metadata", "half")  # older than the sound one: nobody looks
    found, said = resume(tmp_path)
    assert found is not None
    assert found.name == "step-00000002"
    assert [line.split()[0] for line in said] == ["step-00000004", "step-00000003"]


@pytest.mark.parametrize("steps", [(3,), (3, 6)])
def test_with_no_sound_one_the_run_is_refused_and_nothing_is_touched(tmp_path: Path, steps: Sequence[int]) -> None:
    Small().save(tmp_path, *steps)
    for step in steps:
        harm(tmp_path, f"step-{step:08d}", "__0_0.distcp", "byte in the middle")
    before = names(tmp_path)
    with pytest.raises(
        ValueError, match=r"none of its checkpoints is sound \(step-.*remove that folder or pass replace"
    ):
        resume(tmp_path)
    assert names(tmp_path) == before


def test_a_run_without_checkpoints_begins(tmp_path: Path) -> None:
    assert resume(tmp_path) == (None, [])
    (tmp_path / checkpoint.FOLDER / "saving-00000003").mkdir(parents=True)  # killed in its first save
    assert resume(tmp_path) == (None, [])


def test_the_next_save_takes_the_damaged_one_s_place(tmp_path: Path) -> None:
    training = Small()
    training.save(tmp_path, 2, 4, 6, keep=2)
    for _ in range(2):  # the second time there is one aside already
        harm(tmp_path, "step-00000006", "__0_0.distcp", "half")
        resume(tmp_path)
        assert names(tmp_path) == ["damaged-00000006", "step-00000004"]
        shutil.copytree(
            tmp_path / checkpoint.FOLDER / "damaged-00000006", tmp_path / checkpoint.FOLDER / "step-00000006"
        )
    resume(tmp_path)
    training.save(tmp_path, 6, keep=2)
    assert names(tmp_path) == ["step-00000004", "step-00000006"]
    assert resume(tmp_path) == (tmp_path / checkpoint.FOLDER / "step-00000006", [])


def test_one_without_a_state_does_not_count_as_kept(tmp_path: Path) -> None:
    training = Small()
    training.save(tmp_path, 2, 4)
    harm(tmp_path, "step-00000004", STATE, "removed")
    training.save(tmp_path, 6, keep=2)
    assert [path.name for path in checkpoint.complete(tmp_path)] == ["step-00000002", "step-00000006"]
    training.save(tmp_path, 8, keep=2)
    assert names(tmp_path) == ["step-00000006", "step-00000008"]


def test_another_run_s_checkpoint_is_refused_even_when_an_older_one_is_ours(tmp_path: Path) -> None:
    training = Small()
    training.save(tmp_path, 3)
    other = {**OWN, "identity": {**IDENTITY, "data": "x"}}
    saved = checkpoint.save(tmp_path, 6, training.model, training.optimizer, other, 9, ALONE)
    harm(tmp_path, saved.name, "__0_0.distcp", "half")  # damage does not make it ours
    for refused in (lambda: resume(tmp_path), lambda: checkpoint.refuse_another_run(tmp_path, IDENTITY)):
        with pytest.raises(ValueError, match=r"made with other data or settings \(data: 'x' there, 'é' here\)"):
            refused()


def test_another_format_is_refused_by_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training = Small()
    training.save(tmp_path, 3)
    monkeypatch.setattr(checkpoint_state, "FORMAT", checkpoint_state.FORMAT + 1)
    training.save(tmp_path, 6)
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"step-00000006/state.json is in format 4 .*reads 3.*replace=true"):
        resume(tmp_path)
    first = '{\n "identity": {},\n "loader": {},\n "ranks": 1,\n "skipped": 0,\n "step": 6\n}\n'
    (tmp_path / checkpoint.FOLDER / "step-00000006" / STATE).write_text(first)
    for refused in (lambda: resume(tmp_path), lambda: checkpoint.refuse_another_run(tmp_path, IDENTITY)):
        with pytest.raises(ValueError, match=r"in format 1 of checkpoints, this Agora reads 3"):
            refused()
