"""Stack Exchange's .7z archives: read in one pass, hostile and damaged ones with a named outcome."""

from __future__ import annotations

import io
import itertools
import os
import random
import struct
import zlib
from pathlib import Path

import py7zr
import pytest

from pipelines.ingest import run
from pipelines.ingest_plan import IngestSettings
from tests import laws
from tests.test_ingest import conserved, write
from tests.test_join_marks import DUMP, SITE, dump
from tests.test_stackexchange import posts, row
from transforms.datasets.fates import Reason
from transforms.datasets.manifest import Manifest, load_manifest
from transforms.sources.inputs import Input, find_files
from transforms.sources.streams import archives
from transforms.sources.streams.archives import members, read_members, site_of
from transforms.sources.streams.unpack import DamageError, Limits

NOISE = os.urandom(600_000)  # so that a damaged byte is in a member, not in the header


def archive(path: Path, files: dict[str, bytes], **more: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with py7zr.SevenZipFile(path, "w", **more) as target:  # type: ignore[arg-type]
        for name, data in files.items():
            target.writef(io.BytesIO(data), name)
    return path


def ingest(
    output: Path, *paths: Path, site: str | None = SITE, workers: int = 1, limits: Limits | None = None
) -> Manifest:
    settings = IngestSettings(num_shards=4, max_drop_rate=1, limits=limits or Limits(), allow_damaged=True)
    return run([Input(str(path), site=site) for path in paths], str(output), settings, workers)


def outcomes(manifest: Manifest) -> dict[str, dict[str, int]]:
    return {entry["name"].rpartition("/")[2]: entry["outcomes"] for entry in manifest.inputs if entry["outcomes"]}


def streams(path: Path, wanted: list[int]) -> dict[int, tuple[int, Reason | None]]:
    """For each member the bytes read of it, and what then was wrong."""
    found: dict[int, tuple[int, Reason | None]] = {}
    for index, stream in read_members(str(path), wanted):
        num_bytes, reason = 0, None
        try:
            while data := stream.read1(1 << 16):  # type: ignore[attr-defined]
                num_bytes += len(data)
        except DamageError as error:
            reason = error.reason
        found[index] = num_bytes, reason
    return found


def test_an_archive_gives_what_its_folder_gives(tmp_path: Path) -> None:
    folder = dump(tmp_path / "dump")
    packed = archive(tmp_path / "dump.7z", {f"some/folder/{name}": data for name, data in DUMP.items()})
    ingest(tmp_path / "plain", folder)
    manifest = ingest(tmp_path / "packed", packed)
    ingest(tmp_path / "two", packed, workers=2)
    laws.assert_same_bytes(tmp_path / "plain", tmp_path / "packed", ignore=["manifest.json", "rejects/"])
    laws.assert_same_bytes(tmp_path / "packed", tmp_path / "two")
    assert manifest.digest == load_manifest(str(tmp_path / "plain")).digest
    assert {entry["name"] for entry in manifest.inputs} == {
        f"dump.7z/some/folder/{name}" for name in DUMP if name != "Users.xml"
    }
    conserved(tmp_path / "packed")


def test_one_archive_a_table_and_sites_by_their_names(tmp_path: Path) -> None:
    for name in ("Posts", "Votes", "Comments", "PostLinks", "Users"):
        data = DUMP["posts.XML" if name == "Posts" else f"{name}.xml"]
        archive(tmp_path / "dumps" / f"x.example.com-{name}.7z", {f"{name}.xml": data})
    archive(tmp_path / "dumps" / "y.example.org.7z", {"Posts.xml": posts(row(1))})
    manifest = ingest(tmp_path / "out", tmp_path / "dumps", site=None)
    assert {entry["site"] for entry in manifest.inputs} == {"x.example.com", "y.example.org"}
    plain = ingest(tmp_path / "plain", dump(tmp_path / "dump"), site="x.example.com")
    assert manifest.rows == plain.rows + 1
    several = archive(tmp_path / "all.7z", {f"{site}/Posts.xml": posts(row(1)) for site in ("a.x.com", "b.x.com")})
    assert {entry["site"] for entry in ingest(tmp_path / "all", several, site=None).inputs} == {"a.x.com", "b.x.com"}


@pytest.mark.parametrize(
    ("name", "site"),
    [("d/beer.stackexchange.com.7z", "beer.stackexchange.com"), ("stackoverflow.com-Posts.7z", "stackoverflow.com"),
     ("ru.meta.stackoverflow.com-PostHistory.7z", "ru.meta.stackoverflow.com"),
     ("mathoverflow.net.7z", "mathoverflow.net"), ("dump.7z", None), ("posts.old.7z", None), ("x.com.7z.bak", None)],
)  # fmt: skip
def test_the_site_in_an_archives_name(name: str, site: str | None) -> None:
    assert site_of(name) == site


def test_an_archive_without_a_site_or_a_table(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--site"):
        ingest(tmp_path / "out", archive(tmp_path / "dump.7z", {"Posts.xml": posts(row(1))}), site=None)
    with pytest.raises(ValueError, match=r"holds none of posts, .*found \['Users.xml'\]"):
        ingest(tmp_path / "out", archive(tmp_path / "users.7z", {"Users.xml": b"<users></users>"}))
    with pytest.raises(ValueError, match=r"read for stackexchange only"):
        find_files([Input(str(tmp_path / "dump.7z"), source="jsonl")])


def test_names_that_lead_out_of_the_archive_and_links(tmp_path: Path) -> None:
    good = posts(row(1))
    hostile = {"..a/../../Posts.xml": good, "/etc/Posts.xml": good, "C:\\Posts.xml": good, "sub/Posts.xml": good}
    names = [(f"{number:02}{'x' * (len(name) - 2)}", name) for number, name in enumerate(hostile)]
    neutral = archive(tmp_path / "x.7z", {harmless: hostile[name] for harmless, name in names})
    _rename(neutral, names)
    (tmp_path / "target").write_bytes(b"")
    (tmp_path / "Votes.xml").symlink_to("/etc/passwd")
    with py7zr.SevenZipFile(tmp_path / "link.7z", "w") as target:
        target.write(tmp_path / "Votes.xml", "Votes.xml")
    manifest = ingest(tmp_path / "out", neutral, tmp_path / "link.7z")
    found = {entry["name"]: (entry["kept"], entry["outcomes"]) for entry in manifest.inputs}
    unsafe = (0, {"unsafe-name": 1})
    assert found == {
        "x.7z/..a/../../Posts.xml": unsafe, "x.7z//etc/Posts.xml": unsafe, "x.7z/C:/Posts.xml": unsafe,
        "x.7z/sub/Posts.xml": (1, {}), "link.7z/Votes.xml": unsafe,
    }  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Votes.xml", "link.7z", "out", "target", "x.7z"]


def _rename(path: Path, names: list[tuple[str, str]]) -> None:
    """Gives members other names of the same length, which py7zr would not write: in a header that is not packed."""
    with py7zr.SevenZipFile(path) as source:
        files = dict.fromkeys(source.getnames(), source.header)
    assert files.keys() == {old for old, _ in names}
    data = bytearray(_plain_header(path))
    for old, new in names:
        data = data.replace(old.encode("utf-16-le"), new.encode("utf-16-le"))
    path.write_bytes(_sealed(data))


def _plain_header(path: Path) -> bytes:
    """The archive again with a header that is not packed."""
    with py7zr.SevenZipFile(path) as source:
        contents = source.getnames()
        found = {index: stream.read() for index, stream in read_members(str(path), list(range(len(contents))))}
    with py7zr.SevenZipFile(path, "w") as target:
        target.set_encoded_header_mode(False)
        for index, name in enumerate(contents):
            target.writef(io.BytesIO(found[index]), name)
    return path.read_bytes()


def _sealed(data: bytes | bytearray) -> bytes:
    """The archive with the checksums of its (changed) header put right."""
    offset, size = struct.unpack("<QQ", data[12:28])
    header = bytes(data[32 + offset : 32 + offset + size])
    start = struct.pack("<QQL", offset, size, zlib.crc32(header))
    return bytes(data[:8]) + struct.pack("<L", zlib.crc32(start)) + start + bytes(data[32:])


def test_passwords(tmp_path: Path) -> None:
    good = write(tmp_path / "Posts.xml", posts(row(1)))
    some = archive(tmp_path / "some.7z", {"Votes.xml": DUMP["Votes.xml"]}, password="secret")
    whole = archive(tmp_path / "whole.7z", {"Votes.xml": DUMP["Votes.xml"]}, password="secret", header_encryption=True)
    manifest = ingest(tmp_path / "out", good, some, whole)
    assert outcomes(manifest) == {"Votes.xml": {"encrypted": 1}, "whole.7z": {"encrypted": 1}}
    assert manifest.rows == 1


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_archive(tmp_path: Path, kept: float) -> None:
    data = archive(tmp_path / "x.7z", {"Posts.xml": posts(row(1))}).read_bytes()
    cut = write(tmp_path / "cut.7z", data[: 6 + int((len(data) - 7) * kept)])
    manifest = ingest(tmp_path / "out", cut, write(tmp_path / "Posts.xml", posts(row(2))))
    assert outcomes(manifest) == {"cut.7z": {"truncated-file": 1}}
    assert manifest.rows == 1


def test_a_damaged_member_leaves_those_before_it(tmp_path: Path) -> None:
    rows = [row(number, Body=NOISE[number * 300 : number * 300 + 150].hex()) for number in range(1, 1500)]
    tables = {"Comments.xml": DUMP["Comments.xml"], "Posts.xml": posts(*rows), "Votes.xml": DUMP["Votes.xml"]}
    path = archive(tmp_path / "x.7z", tables)
    data = bytearray(path.read_bytes())
    data[len(data) * 9 // 10] ^= 0x55
    path.write_bytes(data)
    manifest = ingest(tmp_path / "out", path)
    assert outcomes(manifest) == {"Posts.xml": {"damaged-file": 1}, "Votes.xml": {"damaged-file": 1}}
    entries = {entry["name"]: entry for entry in manifest.inputs}
    assert entries["x.7z/Posts.xml"]["kept"] + entries["x.7z/Posts.xml"]["dropped"].get("truncated", 0) > 0
    assert entries["x.7z/Comments.xml"]["rows"] == 4
    assert {post["ups"] for post in laws.all_rows(tmp_path / "out")} == {None}
    conserved(tmp_path / "out")


def test_a_wrong_checksum(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.7z", {"Posts.xml": posts(row(1), row(2))}, filters=[{"id": py7zr.FILTER_COPY}])
    path.write_bytes(path.read_bytes().replace(b"hello", b"jello"))
    assert streams(path, [0]) == {0: (len(posts(row(1), row(2))), Reason.DAMAGED_FILE)}
    manifest = ingest(tmp_path / "out", path)
    assert outcomes(manifest) == {"Posts.xml": {"damaged-file": 1}}
    assert manifest.rows == 2


def test_several_folders_in_one_archive(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.7z", {"a": NOISE[:1000], "Votes.xml": NOISE[:50_000]})
    with py7zr.SevenZipFile(path, "a") as target:
        target.writestr(NOISE[:70_000], "Posts.xml")
        target.writestr(b"", "Comments.xml")
    sizes = {member.index: member.bytes for member in members(str(path), Limits())}
    assert sorted(sizes.values()) == [0, 1000, 50_000, 70_000]
    for wanted in ([0, 1, 2, 3], [2], [1], []):
        assert streams(path, wanted) == {index: (sizes[index], None) for index in wanted}


def test_ppmd_is_refused_since_its_decoder_may_end_the_process(tmp_path: Path) -> None:
    ppmd = [{"id": py7zr.FILTER_PPMD, "order": 6, "mem": 24}]
    path = archive(tmp_path / "beer.stackexchange.com.7z", {"Posts.xml": posts(row(1))}, filters=ppmd)
    (member,) = members(str(path), Limits())
    assert member.problem
    assert member.problem[0] is Reason.WRONG_FORMAT
    assert "unpack it with 7z" in member.problem[1]


CODECS = {
    "lzma": [{"id": py7zr.FILTER_LZMA, "preset": 1}],
    "lzma2": [{"id": py7zr.FILTER_LZMA2, "preset": 1}],
    "bzip2": [{"id": py7zr.FILTER_BZIP2}],
    "deflate": [{"id": py7zr.FILTER_DEFLATE}],
    "zstandard": [{"id": py7zr.FILTER_ZSTD, "level": 3}],
    "x86 before lzma2": [{"id": py7zr.FILTER_X86}, {"id": py7zr.FILTER_LZMA2, "preset": 1}],
    "none": [{"id": py7zr.FILTER_COPY}],
}


@pytest.mark.parametrize("codec", CODECS)
def test_a_decoder_is_handed_no_more_than_it_needs(tmp_path: Path, codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """py7zr's decoder alone reads the whole archive into memory when it is asked for a little at a time."""
    # One bit of chance in a byte: packs to about an eighth, evenly, so that what is needed so far is known.
    letters = [bytes(b"ab"[byte >> bit & 1] for bit in range(8)) for byte in range(256)]
    bits = b"".join(letters[byte] for byte in random.Random(1).randbytes(1_000_000))
    files = {"Posts.xml": bits, "Votes.xml": NOISE}
    path = archive(tmp_path / "a.7z", files, filters=CODECS[codec])
    packed_bytes = path.stat().st_size - len(NOISE)
    feeds: set[archives._Fed] = set()
    read = archives._Fed.read
    monkeypatch.setattr(archives._Fed, "read", lambda fed, number: feeds.add(fed) or read(fed, number))  # type: ignore[func-returns-value]
    found: dict[int, bytes] = {0: b"", 1: b""}
    for index, stream in read_members(str(path), [0, 1]):
        while data := stream.read1(1 << 16):  # type: ignore[attr-defined]
            found[index] += data
            if index == 0:
                (fed,) = feeds
                assert fed.handed_bytes <= 1.1 * packed_bytes * len(found[0]) / len(bits) + 250_000
    assert list(found.values()) == list(files.values())


def test_an_archive_for_two_sites_is_read_for_both_and_twice_for_one_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "beer.stackexchange.com.7z", {"Posts.xml": posts(row(1), row(2))})
    settings = IngestSettings(num_shards=1)
    both = [Input(str(path), site="a.example"), Input(str(path), site="b.example")]
    manifest = run(both, str(tmp_path / "out"), settings)
    assert {post["site"] for post in laws.all_rows(tmp_path / "out")} == {"a.example", "b.example"}
    assert [entry["kept"] for entry in manifest.inputs] == [2, 2]
    with pytest.raises(ValueError, match="among the inputs twice"):
        find_files([Input(str(path)), Input(str(path), site="beer.stackexchange.com")])


def test_bombs(tmp_path: Path) -> None:
    bomb = archive(tmp_path / "bomb.7z", {"Posts.xml": posts(row(1)), "Votes.xml": b" " * (80 << 20)})
    good = write(tmp_path / "more.xml", posts(row(2)))
    manifest = ingest(tmp_path / "out", good, bomb)
    assert outcomes(manifest) == {"Votes.xml": {"decompression-bomb": 1}}
    assert manifest.rows == 2
    manifest = ingest(tmp_path / "small", good, bomb, limits=Limits(max_unpacked_bytes=1 << 20))
    assert outcomes(manifest) == {"Votes.xml": {"decompression-bomb": 1}, "Posts.xml": {"decompression-bomb": 1}}
    data = bytearray(bomb.read_bytes())
    data[20:28] = struct.pack("<Q", 1 << 40)  # the size of the header
    with pytest.raises(DamageError, match="ends before"):
        members(str(write(tmp_path / "header.7z", bytes(data))), Limits())


def test_a_dictionary_larger_than_memory_is_not_allocated(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.7z", {"Posts.xml": posts(row(1))}, filters=[{"id": py7zr.FILTER_LZMA2, "preset": 1}])
    data = bytearray(_lzma2_plain_header(path))
    at = data.rindex(b"\x21\x21\x01")  # one LZMA2 coder with one byte of properties
    data[at + 3] = 40  # 4 GiB
    path.write_bytes(_sealed(data))
    (member,) = members(str(path), Limits())
    assert member.problem is not None
    assert member.problem[0] is Reason.BOMB


def _lzma2_plain_header(path: Path) -> bytes:
    with py7zr.SevenZipFile(path, "w", filters=[{"id": py7zr.FILTER_LZMA2, "preset": 1}]) as target:
        target.set_encoded_header_mode(False)
        target.writef(io.BytesIO(posts(row(1))), "Posts.xml")
    return path.read_bytes()


def test_any_damaged_byte_has_an_outcome(tmp_path: Path) -> None:
    """No exception but DamageError, and no more bytes than the header says, wherever an archive is damaged."""
    path = archive(tmp_path / "x.7z", {"Posts.xml": posts(*(row(n) for n in range(40))), "Votes.xml": NOISE[:300]})
    broken = tmp_path / "broken.7z"
    for data in (path.read_bytes(), _plain_header(path)):  # in a plain header each byte can mislead the parser
        for place, change in itertools.product(range(6, len(data), max(1, len(data) // 150)), (0x01, 0x80, 0xFF)):
            changed = bytearray(data)
            changed[place] ^= change
            broken.write_bytes(_sealed(changed) if place >= 32 else bytes(changed))
            try:
                found = [member.index for member in members(str(broken), Limits()) if member.problem is None]
                streams(broken, found)
            except DamageError:
                continue
