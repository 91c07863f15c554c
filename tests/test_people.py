"""People: no name, address or profile of a dump's author fields reaches what an ingestion writes or prints."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import laws
from tests.test_ingest import write
from tests.test_mapped_rows import EXAMPLES
from tests.test_stackexchange import row
from transforms.manifest import load_manifest
from transforms.shards import read_shard

ROOT = Path(__file__).parents[1]
NAMES = [f"Qzv{index}person" for index in range(12)]
MAIL, SITE, PROFILE = "qzvmail@person.example", "https://qzvsite.example/me", "users/4242/qzvprofile"
PLANTED = [*NAMES, MAIL, SITE, "qzvprofile", "qzvuser", "QzvAuthor"]


def table(name: str, *rows: str) -> bytes:
    return f'<?xml version="1.0" encoding="utf-8"?>\n<{name}>\n{"".join(rows)}</{name}>\n'.encode()


def stack_exchange(folder: Path) -> None:
    time = 'CreationDate="2020-01-01T00:00:00"'
    rows = [
        row(1, OwnerUserId="42", OwnerDisplayName=NAMES[0], LastEditorDisplayName=NAMES[1], LastEditDate="2020-02-01"),
        row(2, PostTypeId="2", ParentId="1", OwnerDisplayName=NAMES[2]),
        row(3, PostTypeId="2", ParentId="99", OwnerDisplayName=NAMES[3]),  # an orphan
        row(4, Score="x", OwnerDisplayName=NAMES[4]),  # not readable
        row(5, PostTypeId="5", OwnerDisplayName=NAMES[5]),  # no post
        row(6, OwnerDisplayName=NAMES[6], Body=""),
        f'<row Id="7" OwnerDisplayName="{NAMES[7]}" <broken />'.encode(),
        f'<row Id="8" OwnerDisplayName="{NAMES[8]}\xff" />'.encode("latin-1"),
    ]
    write(folder / "Posts.xml", b'<?xml version="1.0" encoding="utf-8"?>\n<posts>\n' + b"".join(rows) + b"</posts>\n")
    comment = '<row Id="{}" PostId="{}" Score="0" Text="so" {} UserDisplayName="{}" />'
    comments = [comment.format(1, 1, time, NAMES[9]), comment.format(2, 77, time, NAMES[10]), "<row Id='x' />"]
    write(folder / "Comments.xml", table("comments", *comments))
    user = f'<row Id="42" DisplayName="{NAMES[11]}" WebsiteUrl="{SITE}" Email="{MAIL}" AboutMe="{PROFILE}" />'
    write(folder / "Users.xml", table("users", user))


def reddit(folder: Path) -> None:
    common = {"subreddit": "beer", "created_utc": 1577923200, "score": 2, "permalink": "/r/beer/comments/a1/t/"}
    asked = {
        **common,
        "id": "a1",
        "title": "t",
        "selftext": "x",
        "author": "QzvAuthor1",
        "author_fullname": "t2_qzvuser",
    }
    profile = {**asked, "id": "a2", "subreddit": "u_QzvAuthor2", "author": "QzvAuthor2",
               "permalink": "/user/QzvAuthor2/comments/a2/t/"}  # fmt: skip
    reply = {**common, "body": "y", "link_id": "t3_a1", "parent_id": "t3_a1", "author_flair_text": "QzvAuthor3"}
    said = [
        {**reply, "id": "b1", "author": "QzvAuthor4"},
        {**reply, "id": "b2", "link_id": "t3_zz", "author": "QzvAuthor5"},
    ]
    write(folder / "RS_2020-01", b"".join(json.dumps(line).encode() + b"\n" for line in (asked, profile)))
    write(folder / "RC_2020-01", b"".join(json.dumps(line).encode() + b"\n" for line in (*said, {**reply, "id": 5})))


def rows(folder: Path) -> None:
    answers = [{"answer_id": 2, "text": "b", "author": NAMES[0], "author_id": 7, "author_profile": SITE},
               {"answer_id": 3, "text": 5, "author": NAMES[1]}]  # fmt: skip
    line = {"qid": 1, "question": "a", "answers": answers, "metadata": [None, None, f"https://x.example/{PROFILE}"]}
    write(folder / "h4.jsonl", json.dumps(line).encode() + b"\n")


def written(output: Path) -> Iterator[str]:
    """All that a run left behind: files as they are, and rows unpacked."""
    for path, data in laws.files_of(output).items():
        yield path
        yield data.decode("latin-1")
    yield (output / "run.json").read_text()
    for file in load_manifest(str(output)).files:
        table = read_shard(str(output), file.path)
        yield json.dumps(table.to_pylist(), default=str, ensure_ascii=False)
        yield str(table.schema.metadata)


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (stack_exchange, ["--site", "x.example"]),
        (reddit, []),
        (rows, ["--mapping", str(EXAMPLES / "stack-exchange-preferences.yaml")]),
    ],
)
def test_no_author_is_written_or_printed(tmp_path: Path, make: object, options: list[str]) -> None:
    assert callable(make)
    make(tmp_path / "in")
    secret = write(tmp_path / "secret", b"a secret\n")
    listed = write(tmp_path / "list", f"author:{NAMES[2]}\nauthor:QzvAuthor4\n".encode())
    for number, more in enumerate(
        (
            ["--max-drop-rate", "1", "--author-secret", str(secret), "--remove-list", str(listed)],
            ["--max-drop-rate", "0"],
        )
    ):
        output = tmp_path / f"out{number}"
        command = [sys.executable, "-m", "pipelines.cli", "ingest", str(tmp_path / "in"), "-o", str(output), *options]
        run = subprocess.run([*command, *more], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
        fails = more[-1] == "0"
        assert (run.returncode != 0) == fails, run.stderr
        said = [run.stdout, run.stderr, *([] if fails else written(output))]
        assert fails or load_manifest(str(output)).rows
        for name in PLANTED:
            assert not any(name.lower() in text.lower() for text in said), f"{name} is in what {make.__name__} left"
