"""What several tests share: the tiny forum, and where data lies that is not always there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emulators import Emulator, emulator

ROOT = Path(__file__).parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"
# Modules whose few tests take longest: they go first, so that no core waits for another at the end.
LONG = ("test_demo", "test_tries", "test_told_builds", "test_end_to_end", "test_elsewhere")
LID_MODEL = ROOT / "transforms" / "langid" / "agora119.lid"
LID176 = ROOT / "models" / "lid.176.ftz"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the LONG modules first; all else stays in order."""
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


@pytest.fixture(autouse=True)
def _no_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log of a build that one test runs in this process is not the next one's."""
    monkeypatch.setattr("pipelines.log._open", [])


@pytest.fixture(scope="session")
def lid_model() -> Path:
    """The model that is shipped."""
    return LID_MODEL


@pytest.fixture(scope="session")
def lid176() -> Path:
    """fastText's lid.176.ftz, which `make lid176` fetches."""
    if not LID176.exists():
        pytest.skip(f"{LID176} is absent; `make lid176` fetches it")
    return LID176


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real forum dumps and language data beside the repository; a user of the project does not have them."""
    if not SHARED_DATA.exists():
        pytest.skip(f"no real data at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def gs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator | str]:
    """A store that gs:// leads to, or why there is none."""
    with emulator("gs", tmp_path_factory.mktemp("gs")) as started:
        yield started


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator | str]:
    with emulator("s3", tmp_path_factory.mktemp("s3")) as started:
        yield started


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Emulator:
    """The store that the test's parameter names, `gs` or `s3` (indirect)."""
    found: Emulator | str = request.getfixturevalue(request.param)
    if isinstance(found, str):
        pytest.skip(found)
    return found


def forum_rows(questions: int) -> list[str]:
    """The rows of the embedded sample's first questions and of all that belongs to them, as lines of Posts.xml."""
    text = (ROOT / "examples" / "forum" / "Posts.xml").read_text(encoding="utf-8-sig")
    rows = re.findall(r"<row [^>]*/>", text)
    ids = [row for row in rows if 'PostTypeId="1"' in row][:questions]
    wanted = {match.group(1) for row in ids if (match := re.search(r'\bId="(\d+)"', row))}
    return [
        row
        for row in rows
        if ((match := re.search(r'ParentId="(\d+)"', row)) and match.group(1) in wanted)
        or ((match := re.search(r'\bId="(\d+)"', row)) and match.group(1) in wanted)
    ]


def write_posts(place: Path, rows: list[str]) -> Path:
    """A Posts.xml with these rows, as the real ones are written: BOM, CRLF."""
    place.parent.mkdir(parents=True, exist_ok=True)
    lines = ['<?xml version="1.0" encoding="utf-8"?>', "<posts>", *(f"  {row}" for row in rows), "</posts>"]
    place.write_text("\r\n".join(lines), encoding="utf-8-sig", newline="")
    return place
