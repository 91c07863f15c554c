"""Ingest as a whole: real dumps, the laws, damaged and hostile files."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pyarrow as pa
import pytest

from pipelines.ingest import run
from pipelines.ingest_plan import IngestSettings
from pipelines.progress import summary
from tests import laws
from tests.small_dataset import read_file
from tests.test_stackexchange import HEAD, posts, row
from transforms.datasets.fates import Reason
from transforms.datasets.manifest import Manifest, load_manifest
from transforms.datasets.schema import DOCUMENTS, KIND_ORDER, REJECTS
from transforms.ingest.threads import finish
from transforms.sources.inputs import Input
from transforms.sources.records import PARSED, Record, to_table

DATA = Path(__file__).parents[2] / "shared" / "data" / "forums" / "stackexchange"
SITE = "x.example"
BOMB = HEAD.replace(b"<posts>", b'<!DOCTYPE p [<!ENTITY a "b">]><posts>')


def ingest(output: Path, *paths: Path, settings: IngestSettings | None = None, workers: int = 1) -> Manifest:
    lenient = settings or IngestSettings(num_shards=4, max_drop_rate=1, allow_damaged=True)
    return run([Input(str(path), site=SITE) for path in paths], str(output), lenient, workers)


def rejects(place: Path) -> list[dict[str, object]]:
    paths = [file.path for file in load_manifest(str(place)).files if file.path.startswith("rejects/")]
    return list(pa.concat_tables([read_file(str(place), path) for path in paths]).to_pylist())


def conserved(place: Path) -> None:
    """Law 1, from the shards themselves: for every file, rows read = documents + rejected rows."""
    manifest = laws.assert_sound(place)
    for entry in manifest.inputs:
        left_out = {**entry["dropped"], **{f"unused {reason}": number for reason, number in entry["unused"].items()}}
        laws.assert_conserved(entry["rows"], entry["kept"] + sum(entry["used"].values()), left_out)
    assert sum(entry["kept"] for entry in manifest.inputs) == manifest.rows
    named = sum(sum({**entry["dropped"], **entry["outcomes"]}.values()) for entry in manifest.inputs)
    assert named == len(rejects(place))
    assert laws.no_strays(place)


def forum(num_threads: int = 60) -> list[bytes]:
    """Rows of threads with answers, some accepted, in no order: every answer before or after its question."""
    rows = []
    for question in range(1, num_threads * 4, 4):
        accepted = {"AcceptedAnswerId": str(question + 2)} if question % 3 else {}
        rows.append(row(question, Title=f"t{question}", **accepted))
        rows += [row(question + n, PostTypeId="2", ParentId=str(question), Score=str(n)) for n in (1, 2, 3)]
    random.Random(7).shuffle(rows)
    return rows


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("site", "rows", "questions", "answers", "accepted"),
    [("french-meta", 781, 274, 487, 86), ("conlang-meta", 177, 54, 115, 11), ("genai", 474, 181, 243, 47)],
)
def test_real_dumps(tmp_path: Path, site: str, rows: int, questions: int, answers: int, accepted: int) -> None:
    if not (DATA / site).exists():
        pytest.skip("needs the real data in ../shared/data")
    manifest = ingest(tmp_path / "out", DATA / site, settings=IngestSettings())
    entries = {entry["name"]: entry for entry in manifest.inputs}
    assert entries["Posts.xml"]["rows"] == rows
    assert manifest.counts["kind"].items() >= {"answer": answers, "question": questions}.items()
    assert manifest.counts["accepted"] == {"answer": accepted}
    assert manifest.counts["drop"] == {"not-a-post": rows - questions - answers}
    conserved(tmp_path / "out")
    laws.assert_rows_sorted(
        tmp_path / "out", lambda post: (post["thread_id"], KIND_ORDER[post["kind"]], post["created"], post["doc_id"])
    )
    shard_of = {}
    for file in manifest.data_files:
        table = read_file(str(tmp_path / "out"), file.path)
        assert table.schema.equals(DOCUMENTS)
        for thread in set(table.column("thread_id").to_pylist()):
            assert shard_of.setdefault(thread, file.path) == file.path, "a thread stands in two shards"


def test_same_bytes_for_workers_ranges_order_and_cut(tmp_path: Path) -> None:
    rows = forum()
    whole = write(tmp_path / "whole" / "Posts.xml", posts(*rows, row(5000, PostTypeId="5")))
    ingest(tmp_path / "one", whole)
    ingest(tmp_path / "two", whole, workers=2)
    ingest(tmp_path / "small", whole, settings=IngestSettings(num_shards=4, range_bytes=1000, max_drop_rate=1))
    laws.assert_same_bytes(tmp_path / "one", tmp_path / "two")
    laws.assert_same_bytes(tmp_path / "one", tmp_path / "small")
    first = write(tmp_path / "cut" / "a.xml", posts(*rows[50:]))
    second = write(tmp_path / "cut" / "b.xml.gz", gzip.compress(posts(*rows[:50][::-1]) + b"\n", mtime=0))
    ingest(tmp_path / "parts", first, second)
    ingest(tmp_path / "swapped", second, first)
    laws.assert_same_bytes(tmp_path / "parts", tmp_path / "swapped")
    laws.assert_same_bytes(tmp_path / "one", tmp_path / "parts", ignore=["manifest.json", "rejects/"])
    assert load_manifest(str(tmp_path / "one")).digest == load_manifest(str(tmp_path / "parts")).digest
    conserved(tmp_path / "parts")


def test_a_second_run_does_nothing_and_another_is_refused(tmp_path: Path) -> None:
    dump = write(tmp_path / "Posts.xml", posts(*forum(5)))
    ingest(tmp_path / "out", dump)
    laws.assert_idempotent(tmp_path / "out", lambda: ingest(tmp_path / "out", dump))
    laws.assert_refuses_other(lambda: ingest(tmp_path / "out", dump, settings=IngestSettings(num_shards=2)))
    dump.write_bytes(posts(*forum(6)))
    laws.assert_refuses_other(lambda: ingest(tmp_path / "out", dump))
    laws.assert_invisible_until_committed(tmp_path / "out")


def test_accepted_and_orphans_and_duplicates(tmp_path: Path) -> None:
    rows = [
        row(1, AcceptedAnswerId="3"),
        row(2, PostTypeId="2", ParentId="1"),
        row(3, PostTypeId="2", ParentId="1"),
        row(4, AcceptedAnswerId="2"),  # an answer of another thread: accepted nowhere
        row(5, PostTypeId="2", ParentId="4"),
        row(6, PostTypeId="2", ParentId="99"),
        row(5, PostTypeId="2", ParentId="4", Body="later", CreationDate="2021-01-01T00:00:00"),
    ]
    dump = write(tmp_path / "Posts.xml", posts(*rows))
    manifest = ingest(tmp_path / "out", dump, settings=IngestSettings(num_shards=1, max_drop_rate=1))
    found = {int(post["doc_id"].split(":")[-1]): post for post in laws.all_rows(tmp_path / "out")}
    assert {number: post["accepted"] for number, post in found.items()} == {
        1: None,
        2: False,
        3: True,
        4: None,
        5: False,
    }
    assert found[5]["text"] == "hello"
    assert manifest.counts["drop"] == {"duplicate-id": 1, "orphan": 1}
    data = dump.read_bytes()
    dropped = sorted((str(drop["reason"]), drop["offset"], drop["record_id"]) for drop in rejects(tmp_path / "out"))
    assert dropped == [
        ("duplicate-id", data.rindex(b'<row Id="5"'), f"stackexchange:{SITE}:5"),
        ("orphan", data.index(b'<row Id="6"'), f"stackexchange:{SITE}:6"),
    ]
    conserved(tmp_path / "out")


def test_duplicates_are_chosen_by_content_not_by_place(tmp_path: Path) -> None:
    one, other = row(1, Body="first"), row(1, Body="second")
    texts = []
    for name, rows in (("a", [one, other]), ("b", [other, one])):
        ingest(tmp_path / f"out-{name}", write(tmp_path / name / "Posts.xml", posts(*rows)))
        texts.append([post["text"] for post in laws.all_rows(tmp_path / f"out-{name}")])
    assert texts[0] == texts[1]
    assert len(texts[0]) == 1


@pytest.mark.parametrize(
    ("name", "data", "dropped", "outcomes"),
    [
        ("cut", posts(*forum(9))[:-60], {"truncated": 1}, {"truncated-file": 1}),
        ("utf8", posts(row(1), row(9, Body="\xff").decode().encode("latin-1")), {"bad-encoding": 1}, {}),
        ("bomb", BOMB + row(1) + row(2, Body="&a;") + b"</posts>", {"malformed": 1}, {"doctype": 1}),
        ("big", posts(row(1), row(2, Body="x" * (20 << 20)), row(3)), {"oversized": 1}, {}),
        ("empty", b"", {}, {"empty-file": 1}),
        ("utf16", posts(row(1)).decode().encode("utf-16"), {}, {"wrong-format": 1}),
        ("users", b'<?xml version="1.0"?><users><row Id="1" /></users>', {}, {"wrong-format": 1}),
    ],
)  # fmt: skip
def test_damage_is_counted_and_nothing_else_is_lost(
    tmp_path: Path, name: str, data: bytes, dropped: dict[str, int], outcomes: dict[str, int]
) -> None:
    good = write(tmp_path / "good.xml", posts(*(row(1000 + n) for n in range(5))))
    manifest = ingest(tmp_path / "out", good, write(tmp_path / f"{name}.xml", data))
    entries = {entry["name"]: entry for entry in manifest.inputs}
    assert entries["good.xml"]["kept"] == 5
    assert entries[f"{name}.xml"]["dropped"].keys() <= dropped.keys() | {"orphan"}
    assert {reason: entries[f"{name}.xml"]["dropped"][reason] for reason in dropped} == dropped
    assert entries[f"{name}.xml"]["outcomes"] == outcomes
    conserved(tmp_path / "out")
    assert all(set(drop) == set(REJECTS.names) for drop in rejects(tmp_path / "out"))


def test_documents_take_the_same_path(tmp_path: Path) -> None:
    lines = [json.dumps({"id": n, "text": f"text {n}"}) for n in range(50)]
    lines += ['{"id": 3, "text": "text 3"}', "{bad", '{"text": ""}']
    first = write(tmp_path / "a.jsonl", "\n".join(lines[:20]).encode() + b"\n")
    second = write(tmp_path / "b.jsonl.gz", gzip.compress("\n".join(lines[20:]).encode() + b"\n"))
    manifest = ingest(tmp_path / "out", first, second)
    assert manifest.counts["kind"] == {"document": 50}
    assert manifest.counts["drop"] == {"duplicate-id": 1, "empty": 1, "malformed": 1}
    conserved(tmp_path / "out")
    whole = write(tmp_path / "whole.json", "\n".join(lines[::-1]).encode())
    ingest(tmp_path / "again", whole)
    laws.assert_same_bytes(tmp_path / "out", tmp_path / "again", ignore=["manifest.json", "rejects/"])


def test_too_many_drops_fail_the_step_and_say_why(tmp_path: Path) -> None:
    wikis = [row(100 + n, PostTypeId="5") for n in range(20)]
    dump = write(tmp_path / "Posts.xml", posts(row(1), row(2), row(3), row(4, PostTypeId="2"), *wikis))
    with pytest.raises(
        ValueError,
        match=r"1 of 4 posts or documents were dropped \(25.0%\)(.|\n)*missing-field: 1 row, such as stackexchange:x",
    ) as error:
        ingest(tmp_path / "out", dump, settings=IngestSettings())
    assert "Nothing was kept at" in error.value.__notes__[0]
    assert laws.files_of(tmp_path / "out") == {}
    with pytest.raises(ValueError, match="no dataset"):
        load_manifest(str(tmp_path / "out"))
    manifest = ingest(tmp_path / "out", dump, settings=IngestSettings(max_drop_rate=0.3))
    assert manifest.rows == 3
    conserved(tmp_path / "out")


def test_a_damaged_input_fails_the_step_unless_allowed(tmp_path: Path) -> None:
    good = write(tmp_path / "good.xml", posts(row(1), row(2)))
    cut = write(tmp_path / "cut.xml", posts(row(11), row(12), row(13)).rpartition(b"<row")[0].rstrip() + b"\n")
    with pytest.raises(ValueError, match="1 of 2 input files are not whole") as error:
        ingest(tmp_path / "out", good, cut, settings=IngestSettings(max_drop_rate=1))
    assert "  cut.xml: truncated-file; 2 of the 2 rows read can be kept" in str(error.value)
    assert "--allow-damaged" in str(error.value)
    assert laws.files_of(tmp_path / "out") == {}
    manifest = ingest(tmp_path / "out", good, cut, settings=IngestSettings(allow_damaged=True))
    assert manifest.counts["file"] == {"truncated-file": 1}
    assert "input files 1 truncated-file" in summary(manifest)
    conserved(tmp_path / "out")
    assert (
        ingest(tmp_path / "out", good, cut, settings=IngestSettings()) == manifest
    )  # it is no part of the fingerprint
    doctype = write(tmp_path / "doctype.xml", BOMB + row(1) + row(2) + b"</posts>")
    manifest = ingest(tmp_path / "doctype", doctype, settings=IngestSettings())
    assert manifest.counts["file"] == {"doctype": 1}


def test_shards_and_duplicates_do_not_depend_on_each_other(tmp_path: Path) -> None:
    """Rows of one id under several questions: the same ones stay for any number of shards."""
    rows = [row(number, CreationDate=f"2020-01-{number:02}T00:00:00") for number in range(1, 9)]
    for number in range(100, 130):
        for parent in (number % 8 + 1, (number * 3) % 8 + 1, number % 8 + 1):
            day = (number * 7 + parent * 5) % 28 + 1
            rows.append(
                row(
                    number,
                    PostTypeId="2",
                    ParentId=str(parent),
                    CreationDate=f"2021-02-{day:02}T00:00:00",
                    Body=f"{parent}",
                )
            )
    dump = write(tmp_path / "Posts.xml", posts(*rows))
    found = []
    for number in (1, 4, 64):
        settings = IngestSettings(num_shards=number, max_drop_rate=1)
        manifest = ingest(tmp_path / str(number), dump, settings=settings)
        conserved(tmp_path / str(number))
        kept = sorted(
            (post["doc_id"], post["thread_id"], post["text"]) for post in laws.all_rows(tmp_path / str(number))
        )
        found.append((kept, manifest.counts["drop"], manifest.counts["kind"]))
    assert found[0] == found[1] == found[2]
    assert found[0][2] == {"answer": 30, "question": 8}
    assert found[0][1] == {"duplicate-id": 60}


def test_the_number_of_shards_does_not_depend_on_how_rows_are_stored(tmp_path: Path) -> None:
    rows = [row(number) for number in range(1, 60)]
    whole = write(tmp_path / "whole" / "a.xml", posts(*rows))
    packed = write(tmp_path / "packed" / "a.xml.gz", gzip.compress(posts(*rows)))
    parts = [write(tmp_path / "parts" / f"{n}.xml", posts(*rows[n::3])) for n in range(3)]
    for name, paths in (("one", [whole]), ("two", [packed]), ("three", parts)):
        ingest(tmp_path / name, *paths, settings=IngestSettings())
    digests = {load_manifest(str(tmp_path / name)).digest for name in ("one", "two", "three")}
    assert len(digests) == 1


def test_nothing_readable_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nothing could be read(.|\n)*empty-file"):
        ingest(tmp_path / "out", write(tmp_path / "Posts.xml", b""))


def test_author_keys(tmp_path: Path) -> None:
    dump = write(tmp_path / "Posts.xml", posts(row(1, OwnerUserId="42", OwnerDisplayName="Jane Doe"), row(2)))
    keys = []
    for number, secret in enumerate((b"6f0b1d92c3a84e57a1d0c4b95e27f836\n", b"vJ3kq-ZpX9_sT0bLw7RyNA\n")):
        place = write(tmp_path / f"secret{number}", secret)
        ingest(tmp_path / f"out{number}", dump, settings=IngestSettings(num_shards=1, author_secret=str(place)))
        found = {post["doc_id"]: post["author_key"] for post in laws.all_rows(tmp_path / f"out{number}")}
        assert found[f"stackexchange:{SITE}:2"] is None
        keys.append(found[f"stackexchange:{SITE}:1"])
        stored = b"".join(laws.files_of(tmp_path / f"out{number}").values())
        assert b"Jane" not in stored
        assert secret.strip() not in (tmp_path / f"out{number}" / "manifest.json").read_bytes()
    assert None not in keys
    assert keys[0] != keys[1]


def test_inputs_that_are_not_read(tmp_path: Path) -> None:
    for path, message in (
        (write(tmp_path / "x.zip", b"PK\x03\x04"), "zip archive.*unpack"),
        (tmp_path / "missing", "no file or folder"),
        (write(tmp_path / "empty" / "readme.md", b"x").parent, "holds nothing to read, which would be: Stack Exchange"),
        (write(tmp_path / "prose.txt", b"Dear reader"), "--source"),
    ):
        with pytest.raises(ValueError, match=message):
            ingest(tmp_path / "out", path)
    with pytest.raises(ValueError, match="--site"):
        run([Input(str(write(tmp_path / "Posts.xml", posts(row(1)))))], str(tmp_path / "out"))
    with pytest.raises(ValueError, match=r"usenet.*is not read"):
        Input("x", source="usenet")
    with pytest.raises(ValueError, match="nothing to ingest"):
        run([], str(tmp_path / "out"))


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    paths = [write(tmp_path / name / "posts.XML", posts(row(number))) for number, name in ((1, "a"), (3, "b"))]
    manifest = run(
        [Input(str(paths[0].parent), site="a.example"), Input(str(paths[1].parent), site="b.example")],
        str(tmp_path / "out"), IngestSettings(num_shards=1),
    )  # fmt: skip
    assert [entry["name"] for entry in manifest.inputs] == ["a/posts.XML", "b/posts.XML"]
    assert [post["url"] for post in laws.all_rows(tmp_path / "out")] == [
        "https://a.example/questions/1", "https://b.example/questions/3"
    ]  # fmt: skip


def test_an_empty_bucket() -> None:
    finished = finish(PARSED.empty_table())
    assert finished.documents.num_rows == finished.rejects.num_rows == 0


def test_copies_with_a_time_that_python_cannot_hold() -> None:
    one = Record(0, "j:s:1", "j:s:1", None, "document", "a", None, [], "j", "s", None, 10**15, *[None] * 6)
    finished = finish(to_table("f", [one, one._replace(offset=9, text="b")], [], 1))
    assert [drop.reason for drop in finished.drops] == [Reason.DUPLICATE_ID]
    assert finished.documents.num_rows == 1


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="num_shards"):
        IngestSettings(num_shards=0)
    with pytest.raises(ValueError, match="max_drop_rate"):
        IngestSettings(max_drop_rate=10)
