"""A command that is told to stop, or killed: nothing of it runs on, and the next run clears what is left."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipelines.local import stops, temporary
from tests.conftest import ROOT
from tests.laws import files_of
from transforms.datasets import held, places

SECONDS = 60
INGEST = ["ingest", "examples/forum", "--site", "agora.example"]


def start(folder: Path, *arguments: str, code: str | None = None) -> subprocess.Popen[str]:
    """A command whose temporary files, and whose processes, are known by a folder of their own."""
    (folder / "tmp").mkdir(exist_ok=True)
    command = ["-c", code] if code else ["-m", "pipelines.cli", *arguments]
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder / "tmp")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def processes_of(folder: Path) -> list[str]:
    """Processes that run with the folder's environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"TMPDIR={folder}/tmp".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except (OSError, ValueError):
            continue
    return found


def wait_until_it_listens(process: subprocess.Popen[str]) -> None:
    """Python itself hears SIGINT alone; the command line begins to hear all within its first tenth of a second."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        status = Path(f"/proc/{process.pid}/status").read_text()
        if int(re.findall(r"SigCgt:\s+(\w+)", status)[0], 16) >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.02)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks processes up in /proc")
@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_ends_all_of_it_in_one_line(number: signal.Signals, workers: str, tmp_path: Path) -> None:
    command = [*INGEST, "--output", str(tmp_path / "out"), "--workers", workers]
    driver = start(tmp_path, *command)
    wait_until_it_listens(driver)
    time.sleep(random.Random(f"{number} {workers}").uniform(0, 3))
    driver.send_signal(number)
    _, said = driver.communicate(timeout=SECONDS)
    if not driver.returncode:
        pytest.skip("it had ended before")
    lines = [line for line in said.splitlines() if line != "ingest …"]
    assert lines == [f"stopped by {number.name}; run the same command again to go on"]
    assert driver.returncode == 128 + number
    assert not os.listdir(tmp_path / "tmp")
    assert not processes_of(tmp_path)


def test_what_stops_goes_on_with_the_same_bytes(tmp_path: Path) -> None:
    command = [*INGEST, "--workers", "2", "--output"]
    driver = start(tmp_path, *command, str(tmp_path / "stopped"))
    time.sleep(3)
    driver.send_signal(signal.SIGTERM)
    driver.communicate(timeout=SECONDS)
    for place in ("stopped", "undisturbed"):
        assert start(tmp_path, *command, str(tmp_path / place)).communicate(timeout=SECONDS)
    assert files_of(tmp_path / "stopped") == files_of(tmp_path / "undisturbed") != {}


STUCK = """
import time
from pipelines.command import stopping
from pipelines.local import stops
stops._GRACE_S = 0.5
with stopping():
    print("begins", flush=True)
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass
"""


def test_what_does_not_unwind_is_ended(tmp_path: Path) -> None:
    driver = start(tmp_path, code=STUCK)
    assert driver.stdout
    assert driver.stdout.readline() == "begins\n"
    driver.send_signal(signal.SIGTERM)
    _, said = driver.communicate(timeout=SECONDS)
    assert (driver.returncode, said) == (128 + signal.SIGTERM, f"{stops.told(signal.SIGTERM)}\n")


HELD = """
import os, signal
from pipelines.command import stopping
from pipelines.local.stops import held_back
with stopping():
    with held_back():
        os.kill(os.getpid(), signal.SIGTERM)
        print("whole", flush=True)
    print("not reached", flush=True)
"""


def test_a_stop_waits_for_what_must_be_whole(tmp_path: Path) -> None:
    driver = start(tmp_path, code=HELD)
    said, _ = driver.communicate(timeout=SECONDS)
    assert (driver.returncode, said) == (128 + signal.SIGTERM, "whole\n")


LATE = """
import atexit, os, signal, sys
from pipelines.command import stopping
late = lambda: (os.kill(os.getpid(), signal.SIGTERM), print("not reached", flush=True))
if {at_exit}:
    atexit.register(late)
with stopping():
    pass
if not {at_exit}:
    late()
"""


@pytest.mark.parametrize("at_exit", [True, False])
def test_a_stop_on_the_way_out_leaves_no_trace(at_exit: bool, tmp_path: Path) -> None:
    driver = start(tmp_path, code=LATE.format(at_exit=at_exit))
    told = driver.communicate(timeout=SECONDS)
    assert (driver.returncode, told) == (128 + signal.SIGTERM, ("", f"{stops.told(signal.SIGTERM)}\n"))


@pytest.mark.parametrize("ignored", [True, False])
def test_nohup_goes_on_without_its_terminal(ignored: bool, tmp_path: Path) -> None:
    code = (
        f"import os, signal; signal.signal(signal.SIGHUP, signal.{'SIG_IGN' if ignored else 'SIG_DFL'})\n"
        "from pipelines.command import stopping\n"
        "with stopping():\n    os.kill(os.getpid(), signal.SIGHUP)\n    print('goes on', flush=True)\n"
    )
    driver = start(tmp_path, code=code)
    said, _ = driver.communicate(timeout=SECONDS)
    assert (said, driver.returncode) == (("goes on\n", 0) if ignored else ("", 128 + signal.SIGHUP))


# ------------------------------------------------------------------------------------- what a kill leaves

WRITER = """
import os, signal, sys
from transforms.datasets import places
file = places.AtomicFile(sys.argv[1])
file.write(b"half")
print("writes", flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("name", ["report.html", "strange [*] \n name"])
def test_the_next_writer_of_a_file_clears_what_a_killed_one_left_and_nothing_else(name: str, tmp_path: Path) -> None:
    place = tmp_path / name
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / each)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for each in (name, name, f"another {name}")
    ]
    for writer in writers:
        assert writer.stdout
        assert writer.stdout.readline() == b"writes\n"
    (tmp_path / f".tmp-mine-{name}").write_text("not ours")
    for writer in (writers[0], writers[2]):
        writer.kill()
        writer.communicate()
    before = set(os.listdir(tmp_path))
    places.write_alone(str(place), b"whole")
    gone = before - set(os.listdir(tmp_path))
    writers[1].kill()
    writers[1].communicate()
    assert place.read_bytes() == b"whole"
    assert len(gone) == 1
    assert gone.pop().endswith(f"-{name}")
    assert len(before) == 4
    places.write_alone(str(place), b"again")
    assert sorted(each.endswith(f"another {name}") for each in os.listdir(tmp_path)) == [False, False, True]


def test_folders_of_killed_processes_are_swept_and_of_living_ones_are_not(tmp_path: Path) -> None:
    code = (
        "import sys; from pipelines.local import temporary\n"
        f"print(temporary.make('agora-run-', {str(tmp_path)!r}), flush=True)\nsys.stdin.readline()"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    folders = [process.stdout.readline().decode().strip() for process in processes if process.stdout]
    (tmp_path / "agora-walks").mkdir()
    processes[0].kill()
    processes[0].communicate()
    ours = temporary.make("agora-run-", str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {Path(ours).name, Path(folders[1]).name, "agora-walks"}
    processes[1].communicate(b"\n")  # which ends by itself, and clears up
    temporary.remove(ours)
    assert {path.name for path in tmp_path.iterdir()} == {"agora-walks"}


def test_a_link_is_nobody_s_folder(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "agora-run-1").symlink_to(tmp_path / "theirs")
    taken: list[str] = []
    for name in ("agora-run-1", "theirs", "none"):
        held.remove_left(str(tmp_path / name), taken.append)
    assert taken == [str(tmp_path / "theirs")]


@pytest.mark.parametrize("what", ["folder", "file"])
def test_what_is_just_being_made_outlives_a_sweep(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its maker comes to hold it when another process has looked, and is about to remove it."""
    hold, swept = held.hold, list[str]()

    def sweep_first(descriptor: int) -> None:
        maker = threading.Thread(target=hold, args=[descriptor])

        def remove(path: str) -> None:
            swept.append(path)
            maker.start()
            maker.join(0.2)
            assert maker.is_alive(), "it would be held, and removed all the same"
            os.rmdir(path) if what == "folder" else os.unlink(path)

        if swept:
            hold(descriptor)
        else:
            held.remove_left(str(*tmp_path.iterdir()), remove)
            maker.join()

    monkeypatch.setattr(held, "hold", sweep_first)
    if what == "folder":
        made = Path(temporary.make("agora-run-", str(tmp_path)))
        assert made.is_dir()
        temporary.remove(str(made))
    else:
        places.write_atomically(str(tmp_path / "file"), b"whole")
        assert (tmp_path / "file").read_bytes() == b"whole"
    assert not os.path.exists(swept[0])
