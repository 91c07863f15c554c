"""People: no name, address or profile of a dump's author fields is left or said by a run, whether it ends or not."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from tests import laws
from tests.conftest import ROOT, forum_rows
from tests.test_end_to_end import RECIPE
from tests.test_ingest import write
from tests.test_mapped_rows import EXAMPLES
from tests.test_stackexchange import row
from tokenizer.encoder import Encoder
from transforms.datasets.manifest import load_manifest

# Whatever is planted holds one of these; nothing else does.
NAME, NUMBER = "QzvPerson", "4207318865"
MAIL, PAGE, PROFILE = f"{NAME}@mail.example", f"https://{NAME}.example/me", f"https://x.example/users/{NUMBER}/{NAME}"
SITE = "people.example"

# ------------------------------------------------------------------------------------- dumps with people in them


def table(name: str, rows: Sequence[bytes]) -> bytes:
    start, end = f'<?xml version="1.0" encoding="utf-8"?>\n<{name}>\n', f"\n</{name}>\n"
    return start.encode() + b"\n".join(rows) + end.encode()


def by_people(post: str) -> bytes:
    """A row of Posts.xml with author fields of ours."""
    anonymous = re.sub(r' (?:Owner|LastEdit)\w+="[^"]*"', "", post)
    fields = {
        "OwnerUserId": NUMBER,
        "OwnerDisplayName": f"{NAME} asks",
        "LastEditorUserId": NUMBER,
        "LastEditorDisplayName": f"{NAME} edits",
        "LastEditDate": "2024-01-01T00:00:00.000",
    }
    return anonymous.replace("/>", " ".join(f'{name}="{value}"' for name, value in fields.items()) + " />").encode()


def stack_exchange(folder: Path) -> Path:
    owner = {"OwnerUserId": NUMBER, "OwnerDisplayName": NAME}
    posts = [
        *map(by_people, forum_rows(40)),
        row(900_001, PostTypeId="2", ParentId="999999", **owner),  # an orphan
        row(900_002, Score="x", **owner),  # not readable
        row(900_003, PostTypeId="5", **owner),  # no post
        row(900_004, **{**owner, "Body": ""}),
        row(900_005, PostTypeId="2", ParentId="1", OwnerDisplayName=f"{NAME} on the remove list"),
        f'<row Id="900006" OwnerDisplayName="{NAME}" <broken />'.encode(),
        f'<row Id="900007" OwnerDisplayName="{NAME}\xff" />'.encode("latin-1"),
    ]
    write(folder / "Posts.xml", table("posts", posts))
    said = f'Score="0" Text="so" CreationDate="2024-01-01T00:00:00" UserId="{NUMBER}" UserDisplayName="{NAME}"'
    comments = [f'<row Id="1" PostId="1" {said} />', f'<row Id="2" PostId="777777" {said} />', f'<row Id="{NAME}" />']
    write(folder / "Comments.xml", table("comments", [comment.encode() for comment in comments]))
    voted = f'CreationDate="2024-01-01T00:00:00" UserId="{NUMBER}"'
    votes = [f'<row Id="{kind}" PostId="1" VoteTypeId="{kind}" BountyAmount="50" {voted} />' for kind in (1, 2, 5, 8)]
    write(folder / "Votes.xml", table("votes", [vote.encode() for vote in votes]))
    user = (
        f'<row Id="{NUMBER}" AccountId="{NUMBER}" DisplayName="{NAME}" EmailHash="{NAME}" Email="{MAIL}" '
        f'WebsiteUrl="{PAGE}" ProfileImageUrl="{PAGE}.png" Location="{NAME}" AboutMe="{PROFILE}" />'
    )
    write(folder / "Users.xml", table("users", [user.encode()]))
    history = f'<row Id="1" PostId="1" UserId="{NUMBER}" UserDisplayName="{NAME}" Comment="{MAIL}" Text="{PROFILE}" />'
    write(folder / "PostHistory.xml", table("posthistory", [history.encode()]))
    return folder


_REDDIT_AUTHOR = {
    "author": NAME,
    "author_fullname": f"t2_{NAME}",
    "author_flair_text": NAME,
    "author_flair_css_class": NAME,
    "author_flair_richtext": [{"e": "text", "t": NAME}],
    "author_created_utc": int(NUMBER),
    "distinguished": NAME,
    "approved_by": NAME,
    "banned_by": NAME,
    "mod_note": MAIL,
    "user_reports": [[NAME, 1]],
    "all_awardings": [{"name": NAME}],
    "thumbnail": f"{PAGE}.png",
    "url": f"https://www.reddit.com/user/{NAME}/comments/a1/t/",
    "permalink": f"/user/{NAME}/comments/a1/t/",
    "media": {"oembed": {"author_name": NAME, "author_url": PROFILE}},
    "crosspost_parent_list": [{"author": NAME}],
}


def reddit(folder: Path) -> Path:
    common = {"subreddit": "beer", "created_utc": 1577923200, "score": 2, **_REDDIT_AUTHOR}
    asked = {**common, "id": "a1", "title": "Which malt is best for a dark beer?", "selftext": "I would like to know."}
    own_page = {**asked, "id": "a2", "subreddit": f"u_{NAME}"}
    reply = {**common, "body": "The roasted one is what I always use.", "link_id": "t3_a1", "parent_id": "t3_a1"}
    said = [
        {**reply, "id": "b1"},
        {**reply, "id": "b2", "score": 9, "body": "None of them, if you ask me about it."},
        {**reply, "id": "b3", "parent_id": "t1_b2"},
        {**reply, "id": "b4", "link_id": "t3_zz", "parent_id": "t3_zz"},  # its submission is missing
        {**reply, "id": "b5", "body": "[deleted]"},
        {**reply, "id": NAME},
        {**reply, "id": "b6", "score": NAME},
    ]
    for name, rows in (("RS_2020-01", [asked, own_page]), ("RC_2020-01", said)):
        write(folder / name, b"".join(json.dumps(line).encode() + b"\n" for line in rows))
    return folder


def rows(folder: Path) -> Path:
    answers = [
        {"answer_id": 2, "text": "b", "author": NAME, "author_id": int(NUMBER), "author_profile": PROFILE},
        {"answer_id": 3, "text": 5, "author": NAME},
    ]
    line = {"qid": 1, "question": "a", "answers": answers, "metadata": [None, "https://x.example", PROFILE]}
    write(folder / "h4.jsonl", f"{json.dumps(line)}\n{{{NAME}\n".encode())
    return folder


MAPPING = str(EXAMPLES / "stack-exchange-preferences.yaml")
DUMPS = ((stack_exchange, ["--site", SITE]), (reddit, []), (rows, ["--mapping", MAPPING]))


def cut_short(dump: Path) -> Path:
    """Ends every file of a dump behind the last name or number that stands in it."""
    for path in dump.iterdir():
        data = path.read_bytes()
        path.write_bytes(data[: max(data.rfind(mark.encode()) + len(mark) for mark in (NAME, NUMBER))])
    return dump


# ------------------------------------------------------------------------------------- what a run left and said

_ARROW_FILE, _ARROW_STREAM = b"ARROW1", b"\xff\xff\xff\xff"


def left(folder: Path) -> Iterator[tuple[str, str]]:
    """(where, text) of everything below a folder: names, files as they are, Arrow files as values."""
    for path in sorted(folder.rglob("*")):
        yield "the name of", str(path.relative_to(folder))
        if path.is_file():
            data = path.read_bytes()
            yield str(path), data.decode("latin-1")
            if data.startswith((_ARROW_FILE, _ARROW_STREAM)):
                found = (pa.ipc.open_file if data.startswith(_ARROW_FILE) else pa.ipc.open_stream)(data).read_all()
                yield f"values of {path}", json.dumps(found.to_pylist(), default=str, ensure_ascii=False)
                yield f"schema of {path}", str(found.schema.metadata)


def assert_nobody(*texts: tuple[str, str]) -> None:
    for where, text in texts:
        found = re.search(f".{{0,60}}(?:{NAME}|{NUMBER})", text, re.IGNORECASE | re.DOTALL)
        assert found is None, f"{where}: {found[0]!r}"


def run(made: Path, script: str, *commands: list[str]) -> tuple[int, list[str]]:
    """Runs command lines one after the other in one process, whose temporary files lie in `made` too.

    Returns the process's status and theirs, when nobody was named by what it said and all that it left.
    """
    (made / "tmp").mkdir(parents=True)
    command, environment = [sys.executable, "-c", script, json.dumps(commands)], {**os.environ, "TMPDIR": f"{made}/tmp"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert_nobody(("stdout", done.stdout), ("stderr", done.stderr), *left(made))
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, [line.partition("status ")[2] for line in done.stdout.splitlines() if "status " in line]


RUN = """
import json, sys
from pipelines import cli

for arguments in json.loads(sys.argv.pop()):
    sys.argv[1:] = arguments
    try:
        cli.main()
    except SystemExit as end:
        print("status", end.code, flush=True)
"""
# Killed when everything is written and nothing is cleared away.
KILLED = f"""
import os, signal
from transforms.datasets.opening import Opened

Opened.commit = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
{RUN}"""


def secrets(folder: Path) -> tuple[Path, Path]:
    """(the author secret, a remove list with authors in it)."""
    listed = f"author:{NAME} on the remove list\nhttps://elsewhere.example/users/1/{NAME}\n"
    return write(folder / "secret", b"0b5e7c1fa94d4e6283f90dc716ba5a3e\n"), write(folder / "list", listed.encode())


@pytest.fixture
def build_file(tmp_path: Path, lid_model: Path) -> Path:
    """A build of all dumps, whole and cut short, without training."""
    secret, remove_list = secrets(tmp_path)
    recipe = write(tmp_path / "recipe.yaml", yaml.safe_dump(RECIPE).encode())
    inputs = [
        {
            "path": str(dump), "site": site if make is stack_exchange else None,
            "mapping": MAPPING if make is rows else None,
        }
        for make, _ in DUMPS
        for site, dump in (
            (SITE, make(tmp_path / make.__name__)),
            (f"cut.{SITE}", cut_short(make(tmp_path / f"{make.__name__} cut"))),
        )
    ]  # fmt: skip
    build = {
        "output": str(tmp_path / "made" / "out"),
        "inputs": inputs,
        "ingest": {
            "num_shards": 1, "max_drop_rate": 1, "allow_damaged": True,
            "author_secret": str(secret), "remove_list": str(remove_list), "reuse": str(tmp_path / "made" / "reused"),
        },
        "annotate": {"language": str(lid_model), "duplicates": None, "split": {}},
        "pairs": {"rule": "worldpm"},
        "tokenizer": {"vocab_size": 1400},
        "curriculum": {"recipe": str(recipe)},
    }  # fmt: skip
    return write(tmp_path / "build.yaml", yaml.safe_dump(build).encode())


def test_a_build_names_nobody(tmp_path: Path, build_file: Path) -> None:
    made = tmp_path / "made"
    assert run(made, RUN, ["build", str(build_file)]) == (0, ["0"])
    documents = laws.all_rows(made / "out" / "documents")
    assert {post["source"] for post in documents} == {"stackexchange", "reddit", "stack-exchange-preferences"}
    assert {post["kind"] for post in documents} == {"question", "answer", "comment"}
    keyed = {post["source"] for post in documents if post["author_key"]}
    assert keyed == {post["source"] for post in documents}, "authors that were not read prove nothing"
    manifest = load_manifest(str(made / "out" / "documents"))
    assert manifest.counts["remove_list"]["entries_matched"] == 1
    assert len(manifest.counts["drop"]) >= 8
    assert "<html" in (made / "out" / "report.html").read_text()
    assert list((made / "reused").rglob("*.arrow"))
    encoder = Encoder.load(str(made / "out" / "tokenizer"))
    for name in ("tokens", "curriculum"):
        texts = [encoder.decode(entry["tokens"]) for entry in laws.all_rows(made / "out" / name)]
        assert texts
        assert_nobody(*((name, text) for text in texts))


def test_an_ingest_that_fails_names_nobody(tmp_path: Path) -> None:
    made = tmp_path / "made"
    too_many_drops = [(make(tmp_path / make.__name__), options, "0") for make, options in DUMPS]
    damaged = (cut_short(stack_exchange(tmp_path / "cut")), ["--site", SITE], "1")
    commands = [
        ["ingest", str(dump), "-o", str(made / dump.name), *options, "--num-shards", "1", "--max-drop-rate", rate]
        for dump, options, rate in (*too_many_drops, damaged)
    ]
    assert run(made, RUN, *commands) == (0, ["2"] * 4)


def test_a_build_killed_in_ingest_leaves_nobody(tmp_path: Path, build_file: Path) -> None:
    made = tmp_path / "made"
    assert run(made, KILLED, ["build", str(build_file)]) == (-signal.SIGKILL, [])
    assert not list(made.rglob("manifest.json"))
    for folder in ("scratch", "parts", "data", "rejects"):
        assert list((made / "out" / "documents" / folder).iterdir()), folder


def test_a_name_would_be_found_anywhere(tmp_path: Path) -> None:
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    ordinary = ["the same again and again, so that it is packed"] * 99
    for number, make in enumerate((pa.ipc.new_file, pa.ipc.new_stream)):
        for name, column in (("words", [{"x": [f"to {NAME.upper()}"]}]), ("numbers", [int(NUMBER)])):
            place = write(tmp_path / f"{name}{number}" / "x", b"")
            planted = pa.table({"a": ordinary, "b": column * len(ordinary)})
            with make(str(place), planted.schema, options=options) as file:
                file.write_table(planted)
    write(tmp_path / "text" / "x", f"by {MAIL}".encode())
    write(tmp_path / "name" / NAME, b"")
    for folder in tmp_path.iterdir():
        with pytest.raises(AssertionError, match=f"(?i){NAME}|{NUMBER}"):
            assert_nobody(*left(folder))
