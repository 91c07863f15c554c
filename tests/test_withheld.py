"""What is withheld from graphs: which secrets are taken, what names them, and that workers take no other ones."""

from __future__ import annotations

import hashlib
import os
import pickle
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines import ingest, secret
from pipelines.ingest_plan import IngestSettings
from tests.conftest import ROOT
from tests.test_ingest import SITE, posts, write
from tests.test_stackexchange import row
from transforms.datasets import places
from transforms.ingest import withheld
from transforms.ingest.parse import ParseSpec
from transforms.ingest.removal import parse
from transforms.ingest.withheld import Opened, Withheld, withhold
from transforms.sources.inputs import Input

DIGITS = b"0b5e7c1fa94d4e6283f90dc716ba5a3e"
WEAK = {
    "empty": (b" \r\n", "is empty"),
    "a word": (b"beer\n", "4 bytes, which are at most 18 random bits"),
    "a doubled word": (b"passwordpassword", "at most 75 random bits"),
    "8 random bytes": (DIGITS[:16], "at most 64 random bits"),
    "15 random bytes": (DIGITS[:30], "at most 120 random bits"),
    "15 raw bytes": (bytes(range(7, 255, 17))[:15], "at most 120 random bits"),
    "one letter": (b"a" * 200, "it repeats itself"),
    "a word many times": (b"Secret1!" * 9, "it repeats itself"),
    "the alphabet": (b"abcdefghijklmnopqrstuvwxyz0123456789", "it repeats itself, or counts up"),
    "digits in order": (b"1234567890" * 5, "it repeats itself"),
    "a dump": (os.urandom((1 << 16) + 99), "has 65,6.. bytes, where a secret has at most 65,536"),
}
TAKEN = {
    "32 hexadecimal digits": DIGITS,
    "22 characters of base64": b"C1jk+oTZ/04bVYVm9sB7QA",
    "16 raw bytes": hashlib.sha256(b"raw").digest()[:16],
    "the sample's": (ROOT / "examples" / "author_secret.txt").read_bytes(),
}


@pytest.fixture(autouse=True)
def nothing_known() -> None:
    forget()


def forget() -> None:
    """As in a process that has not begun the run."""
    withheld._KNOWN.clear()


@pytest.mark.parametrize("what", WEAK)
def test_a_weak_secret_is_refused(tmp_path: Path, what: str) -> None:
    content, problem = WEAK[what]
    with pytest.raises(ValueError, match=problem) as error:
        withhold(str(write(tmp_path / "file", content)), None)
    assert "at least 16 random bytes" in str(error.value)
    assert "`agora secret FILE` makes one" in str(error.value)
    assert content.strip().decode("latin-1") not in str(error.value) or not content.strip()


@pytest.mark.parametrize("what", TAKEN)
def test_a_random_secret_is_taken_and_named_by_scrypt(tmp_path: Path, what: str) -> None:
    found = withhold(str(write(tmp_path / "file", TAKEN[what])), None)
    derived = hashlib.scrypt(
        TAKEN[what].strip(), salt=b"agora author secret", n=2**15, r=8, p=1, maxmem=2**26, dklen=48
    )
    assert found.digests == {"author_secret": f"scrypt:{derived[32:].hex()}", "remove_list": None}
    assert found.open().author_key == derived[:32]


@pytest.mark.parametrize("ends", [b"", b"\n", b"\r\n", b"\n\n", b" \t\r\n"])
def test_line_ends_make_no_other_keys(tmp_path: Path, ends: bytes) -> None:
    plain, ended = (withhold(str(write(tmp_path / str(n), DIGITS + end)), None) for n, end in enumerate((b"", ends)))
    assert plain.digests == ended.digests


def test_every_secret_has_keys_and_a_digest_of_its_own(tmp_path: Path) -> None:
    found = [withhold(str(write(tmp_path / name, TAKEN[name])), None) for name in TAKEN]
    assert len({each.digests["author_secret"] for each in found}) == len(TAKEN)
    assert len({each.open().author_key for each in found}) == len(TAKEN)


def test_what_names_a_remove_list(tmp_path: Path) -> None:
    def digest(content: bytes, key: str | None = None) -> str | None:
        return withhold(key, str(write(tmp_path / "list", content))).digests["remove_list"]

    ours, theirs = (str(write(tmp_path / str(n), TAKEN[what])) for n, what in enumerate(list(TAKEN)[:2]))
    assert digest(b"6\nJane Doe") == digest(b"# asked in May\r\njane  doe\r\n6\r\n6\r\n")
    found = [digest(b"6\nJane Doe", key) for key in (None, ours, theirs)] + [digest(b"7\nJane Doe", ours)]
    assert len(set(found)) == 4
    listed = parse(["6", "Jane Doe"])
    derived = hashlib.scrypt(
        listed.hashes + listed.numbers, salt=b"agora remove list ", n=2**15, r=8, p=1, maxmem=2**26, dklen=16
    )
    assert found[0] == f"scrypt:{derived.hex()}"
    with pytest.raises(ValueError, match="no remove list"):
        withhold(None, str(tmp_path / "none"))


def test_a_cache_is_of_one_secret_and_one_list_wherever_they_lie(tmp_path: Path) -> None:
    def cache(name: str, secret: bytes | None, listed: bytes | None) -> str:
        at = [
            str(write(tmp_path / name / kind, text)) if text else None for kind, text in (("s", secret), ("l", listed))
        ]
        found = ParseSpec(1, 1, withhold(*at), cache="cache").parse_cache
        assert found
        return found.settings

    given = [(None, None), (DIGITS, None), (DIGITS[::-1], None), (None, b"6"), (DIGITS, b"6"), (DIGITS, b"7")]
    assert len({cache("here", *each) for each in given}) == len(given)
    assert all(cache("here", *each) == cache("there", *each) for each in given)


# ------------------------------------------------------------------------------------- on a worker


def both(folder: Path) -> Withheld:
    return withhold(str(write(folder / "secret", DIGITS)), str(write(folder / "list", b"Jane Doe\n")))


@pytest.mark.parametrize("name", ["secret", "list"])
def test_a_worker_takes_no_other_file(tmp_path: Path, name: str) -> None:
    sent, content = both(tmp_path), (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[::-1])
    forget()
    with pytest.raises(ValueError, match=f"{name}.* is another one here than where the run began.*gs://"):
        sent.open()
    (tmp_path / name).unlink()
    with pytest.raises(ValueError, match=f"there is no .*{name}; check the path, which every worker must see"):
        sent.open()
    (tmp_path / name).write_bytes(content + b"\r\n")
    assert sent.open() == Opened(sent.open().author_key, parse(["Jane Doe"]))


def test_a_process_reads_each_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent, reads, read = both(tmp_path), list[str](), places.read_bytes
    monkeypatch.setattr(places, "read_bytes", lambda place: reads.append(place) or read(place))
    for _ in range(3):  # as every DoFn of it does
        sent.open()
    assert reads == [], "where the run began they are known"
    forget()
    for _ in range(3):
        sent.open()
    assert len(reads) == 2
    other = replace(sent, remove_list=None)
    assert other.open().remove.num_entries == 0, "each run has its own"
    assert sent.open().remove.num_entries == 1


def test_what_is_read_does_not_travel(tmp_path: Path) -> None:
    sent = both(tmp_path)
    opened = sent.open()
    assert opened.author_key
    for held in (opened, opened.remove):
        with pytest.raises(TypeError, match=r"do(es)? not travel"):
            pickle.dumps(held)
    assert pickle.loads(pickle.dumps(sent)) == sent
    for shown in (repr(opened), repr(sent), str(sent.digests)):
        assert repr(opened.author_key)[2:-1] not in shown
        assert opened.author_key.hex() not in shown
        assert "ane" not in shown


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for given in ((str(tmp_path / "pipe"), None), (None, str(tmp_path / "pipe"))):
        with pytest.raises(ValueError, match="is a pipe, which can be read once"):
            withhold(*given)


# ------------------------------------------------------------------------------------- commands


@pytest.mark.parametrize("place", ["secrets/authors", "memory://secrets/authors"])
def test_agora_secret_makes_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.chdir(tmp_path)
    places.remove(place)
    made = set()
    for number in range(3):
        secret.run(f"{place}{number}")
        made.add(withhold(f"{place}{number}", None).digests["author_secret"])
    assert len(made) == 3
    before = places.read_bytes(f"{place}0")
    with pytest.raises(ValueError, match="authors0 is there already and stays"):
        secret.run(f"{place}0")
    assert places.read_bytes(f"{place}0") == before
    with pytest.raises(ValueError, match="FILE is empty text"):
        secret.run("")
    if places.is_local(place):
        assert stat.S_IMODE(os.stat(f"{place}0").st_mode) == 0o600


def test_a_list_that_was_changed_meanwhile_is_told(tmp_path: Path) -> None:
    dump = write(tmp_path / "Posts.xml", posts(row(1, OwnerDisplayName="Jane Doe"), row(2)))
    listed, out = write(tmp_path / "list", b"Nobody\nJane Doe\n"), str(tmp_path / "out")
    settings = IngestSettings(num_shards=1, remove_list=str(listed), max_drop_rate=1)
    manifest = ingest.run([Input(str(dump), site=SITE)], out, settings)
    assert [line[-2:] for line in ingest.notes(manifest, out, settings)] == [" 1"]
    for change in (lambda: listed.write_bytes(b"Jane Doe\nNobody else\n"), listed.unlink):
        change()
        (line,) = ingest.notes(manifest, out, settings)
        assert "the remove list was changed since the run began" in line
