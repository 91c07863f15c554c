"""Several inputs: each with its own site, source and mapping and a name, and never two dumps under one site."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.build import BuildFile
from pipelines.ingest import run
from pipelines.ingest_plan import IngestSettings, inputs_of, parse_input
from tests import laws
from tests.test_archives import archive
from tests.test_ingest import conserved, rejects, write
from tests.test_marks import vote, votes
from tests.test_reddit import lines, submission
from tests.test_stackexchange import posts, row
from transforms.datasets import strict_yaml
from transforms.datasets.manifest import Manifest, load_manifest
from transforms.sources.inputs import Input, find_files
from transforms.sources.sites import SiteRule

SITE = "x.example"
MAPPING = "source: {}\nquestion: {{text: q, id: id}}\nanswer: {{text: a, list: answers}}\n"


def answer(number: int, question: int, **more: str) -> bytes:
    return row(number, PostTypeId="2", ParentId=str(question), **more)


def ingest(output: Path, *inputs: Input, **more: object) -> Manifest:
    settings = {"num_shards": 2, "max_drop_rate": 1.0, "allow_damaged": True} | more
    return run(inputs, str(output), IngestSettings(**settings))  # type: ignore[arg-type]


def of(*paths: Path, site: str | None = SITE) -> list[Input]:
    return [Input(str(path), site=site) for path in paths]


def names(*inputs: Input) -> list[str]:
    return [file.name for file in find_files(inputs)]


# ------------------------------------------------------------------------------------------ two dumps under one site


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a/Posts.xml", "b/Posts.xml"),
        ("a/Posts.xml", "b/posts.XML.gz"),
        ("a/Posts.xml", "a/old/POSTS.xml"),
        ("Posts.xml.gz", "b/Posts.xml"),
    ],
)
def test_two_whole_tables_of_one_site_are_refused_before_they_are_read(tmp_path: Path, one: str, other: str) -> None:
    """Even where no number stands in both."""
    for path, data in ((one, posts(row(1))), (other, posts(row(2)))):
        write(tmp_path / path, gzip.compress(data) if path.endswith("gz") else data)
    with pytest.raises(ValueError, match=r"are both the posts of x\.example") as error:
        find_files(of(tmp_path / one, tmp_path / other))
    assert all(told in str(error.value) for told in (f"/{one})", f"/{other})", "--input PATH=SITE"))


@pytest.mark.parametrize("table", ["Votes.xml", "Comments.xml", "PostLinks.xml"])
def test_tables_of_another_dump_beside_the_same_posts(tmp_path: Path, table: str) -> None:
    root = table.split(".")[0].lower()
    holds = root.removeprefix("post")
    for folder, number in (("a", 1), ("b", 2)):
        write(tmp_path / folder / "Posts.xml", posts(row(1)))
        write(tmp_path / folder / table, f'<{root}><row Id="{number}" /></{root}>'.encode())
    with pytest.raises(ValueError, match=rf"a/{table} \(.*\) and b/{table} \(.*\) are both the {holds} of x.example"):
        find_files(of(tmp_path / "a", tmp_path / "b"))


def test_an_archive_beside_a_folder_or_another_archive(tmp_path: Path) -> None:
    folder = write(tmp_path / "beer" / "Posts.xml", posts(row(1))).parent
    packed = [archive(tmp_path / name, {"Posts.xml": posts(row(2))}) for name in ("x.7z", "old/x.7z")]
    for inputs in ((folder, packed[0]), tuple(packed), (tmp_path / "old", packed[0])):
        with pytest.raises(
            ValueError, match=r"Posts.xml \(.*\) and .*Posts.xml \(.*\) are both the posts of x.example"
        ):
            find_files(of(*inputs))
    twice = archive(tmp_path / "y.7z", {"a/Posts.xml": posts(row(1)), "b/Posts.xml": posts(row(2))})
    with pytest.raises(ValueError, match=r"y.7z/a/Posts.xml \(.*\) and y.7z/b/Posts.xml \(.*\) are both"):
        find_files(of(twice))


@pytest.mark.parametrize(
    ("one", "other", "number"),
    [
        ([row(1), answer(2, 1)], [row(1), answer(3, 1)], 1),  # rows are not compared: parts of one table share none
        ([row(1), answer(2, 1)], [row(1, Score="4"), answer(3, 1)], 1),  # at another time
        ([row(1), answer(2, 1)], [row(2), answer(3, 2)], 1),  # another forum: an answer here, a question there
        ([row(1), answer(2, 1), row(4)], [row(4), answer(2, 4)], 2),  # under another question
        ([row(1), answer(2, 1)], [row(3), answer(4, 3)], 0),
        ([row(1), answer(2, 1)], [answer(4, 1)], 0),  # parts of one table
    ],
)
def test_renamed_dumps_under_one_site_are_refused(
    tmp_path: Path, one: list[bytes], other: list[bytes], number: int
) -> None:
    inputs = of(write(tmp_path / "beer.xml", posts(*one)), write(tmp_path / "tea.xml", posts(*other)))
    for order in (inputs, inputs[::-1]):
        if not number:
            ingest(tmp_path / "out", *order)
            conserved(tmp_path / "out")
            continue
        with pytest.raises(
            ValueError, match=rf"beer.xml \(.*\) and tea.xml \(.*\) were read as x.example, and {number} posts"
        ):
            ingest(tmp_path / "out", *order, num_shards=3)
        assert laws.files_of(tmp_path / "out") == {}


def test_three_renamed_dumps_and_the_rows_that_a_cache_holds(tmp_path: Path) -> None:
    rows = {"a": row(1), "b": row(2), "c": row(2, Score="9")}
    files = [write(tmp_path / f"{name}.xml", posts(one)) for name, one in rows.items()]
    cache = str(tmp_path / "cache")
    for _ in range(2):
        with pytest.raises(ValueError, match=r"b.xml .* and c.xml .* were read as x.example, and 1 posts"):
            ingest(tmp_path / "out", *of(*files), reuse=cache)


def test_a_copy_of_a_table_adds_nothing(tmp_path: Path) -> None:
    rows = [row(1), answer(2, 1), answer(3, 1)]
    cast = votes(vote(1, 2), vote(2, 1), vote(3, 3))
    for folder in ("a", "b"):
        write(tmp_path / folder / "Posts.xml", posts(*rows))
        write(tmp_path / folder / "Votes.xml", cast)
    ingest(tmp_path / "one", *of(tmp_path / "a"))
    manifest = ingest(tmp_path / "two", *of(tmp_path / "a", tmp_path / "b"))
    laws.assert_same_bytes(tmp_path / "one", tmp_path / "two", ignore=["manifest.json", "rejects/"])
    assert manifest.counts["drop"] == {"duplicate-id": 3}
    conserved(tmp_path / "two")


def test_two_dumps_under_two_sites_do_not_meet(tmp_path: Path) -> None:
    write(tmp_path / "a" / "Posts.xml", posts(row(1), answer(2, 1)))
    write(tmp_path / "b" / "Posts.xml", posts(row(2), answer(3, 2)))
    parsed = [parse_input(f"{tmp_path}/a/=A.example"), parse_input(f"{tmp_path}/b=b.example")]
    ingest(tmp_path / "out", *parsed)
    assert {(post["doc_id"][14:], post["thread_id"][14:]) for post in laws.all_rows(tmp_path / "out")} == {
        ("a.example:1", "a.example:1"), ("a.example:2", "a.example:1"),
        ("b.example:2", "b.example:2"), ("b.example:3", "b.example:2"),
    }  # fmt: skip


def test_votes_of_a_dump_say_nothing_of_rows_of_its_site_from_elsewhere(tmp_path: Path) -> None:
    write(tmp_path / "dump" / "Posts.xml", posts(row(1)))
    write(tmp_path / "dump" / "Votes.xml", votes(vote(1, 1)))
    asked = write(tmp_path / "rows.jsonl", b'{"id": 1, "q": "why?", "answers": [{"a": "so"}]}\n')
    mapping = write(tmp_path / "map.yaml", MAPPING.format("set").encode())
    ingest(tmp_path / "out", *of(tmp_path / "dump"), Input(str(asked), None, SITE, str(mapping)))
    ups = {post["doc_id"].split(":")[0]: post["ups"] for post in laws.all_rows(tmp_path / "out")}
    assert ups == {"stackexchange": 1, "set": None}


def test_a_folder_says_what_of_it_would_not_be_read(tmp_path: Path) -> None:
    write(tmp_path / "Posts.xml", posts(row(1)))
    for name in ("old/Posts.xml", "Posts-2.xml", "beer.7z", "old/Users.xml"):
        other = write(tmp_path / name, posts(row(1)))
        for source in (None, "stackexchange"):
            with pytest.raises(ValueError, match=rf"holds {name}, which looks like data and would not be read"):
                find_files([Input(str(tmp_path), source, SITE)])
        other.unlink()


# ------------------------------------------------------------------------------------------ sites


@pytest.mark.parametrize(
    "site",
    ["beer", "localhost", "beer_x.example", "-a.example", "a-.example", "a..example", ".example", "a.example.",
     "bücher.example", "a.example:80", "a.example/x", " a.example", f"{'a' * 64}.example", "a." * 127 + "ex"],
)  # fmt: skip
def test_a_forums_site_is_a_host(tmp_path: Path, site: str) -> None:
    with pytest.raises(ValueError, match=r"--site .*want its host") as error:
        find_files([Input(str(write(tmp_path / "Posts.xml", posts(row(1)))), site=site)])
    assert repr(site) in str(error.value)


def test_hosts() -> None:
    for site in ("a.example", "xn--bcher-kva.example", "3dprinting.stackexchange.com", "es.meta.x-y.z", "10.0.0.1"):
        SiteRule.HOST.check(site, "Posts.xml")


def test_a_host_is_the_same_in_capitals_and_a_corpus_has_any_name(tmp_path: Path) -> None:
    (dump,) = find_files(of(write(tmp_path / "Posts.xml", posts(row(1))), site="Beer.Example.ORG"))
    (corpus,) = find_files(of(write(tmp_path / "a.jsonl", b'{"text": "a"}\n'), site="My_corpus"))
    assert (dump.site, corpus.site) == ("beer.example.org", "My_corpus")
    packed = archive(tmp_path / "d.7z", {"Posts.xml": posts(row(1))})
    assert [file.site for file in find_files(of(packed, site="Beer.Example.ORG"))] == ["beer.example.org"]
    with pytest.raises(ValueError, match="want its host"):
        find_files(of(packed, site="beer"))


# ------------------------------------------------------------------------------------------ the command line


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("dump/", ("dump/", None, None, None)),
        ("dump/=beer.example.org", ("dump/", None, "beer.example.org", None)),
        ("b.jsonl=corpus-name", ("b.jsonl", None, "corpus-name", None)),
        ("x=1/b,c.jsonl=n", ("x=1/b,c.jsonl", None, "n", None)),
        ("x=1/b.jsonl=", ("x=1/b.jsonl", None, None, None)),
        ("RC_2011-01,source=reddit", ("RC_2011-01", "reddit", None, None)),
        ("b,mapping=m,1.yaml", ("b", None, None, "m,1.yaml")),
        ("b=n,source=jsonl,mapping=a b.yaml", ("b", "jsonl", "n", "a b.yaml")),
        ("b=n,mapping=/m/a.yaml,source=jsonl", ("b", "jsonl", "n", "/m/a.yaml")),
        ("x,source=y/b=n", ("x,source=y/b", None, "n", None)),
        ("gs://bucket/a=b/c.7z=x.example", ("gs://bucket/a=b/c.7z", None, "x.example", None)),
    ],
)
def test_an_input_of_the_command_line(text: str, wanted: tuple[str | None, ...]) -> None:
    path, source, site, mapping = wanted
    assert parse_input(text) == Input(str(path), source, site, mapping)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "want a host"),
        ("=x.example", "want a host"),
        ("a=b/c.jsonl", r"the path 'a' and the site 'b/c.jsonl'.*ends with one more '='"),
        ("a=https://x.example", "the site 'https://x.example'.*--input PATH=SITE"),
        ("a=n,source=jsonl,source=jsonl", "source is given twice"),
        ("a=n,mapping=", "mapping is empty"),
        ("a=n,source=usenet", "source 'usenet' of a is not read"),
    ],
)
def test_an_input_that_cannot_be_told(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_input(text)


def test_what_is_said_of_bare_paths_needs_one() -> None:
    assert inputs_of(["a"], ["b=n"], "jsonl", "m") == [Input("a", "jsonl", "m"), Input("b", None, "n")]
    for source, site in (("jsonl", None), (None, "m")):
        with pytest.raises(ValueError, match=rf"{source or site} is said of the inputs without --input"):
            inputs_of([], ["b=n"], source, site)


def test_every_input_is_read_in_its_own_way(tmp_path: Path) -> None:
    """As on the command line, so in a build file."""
    rows = [{"id": 1, "q": "why?", "answers": [{"a": "so"}]}]
    for name in ("a", "b"):
        write(tmp_path / name / "rows.jsonl", "".join(json.dumps(item) + "\n" for item in rows).encode())
        write(tmp_path / f"{name}.yaml", MAPPING.format(f"set-{name}").encode())
    write(tmp_path / "dump" / "Posts.xml", posts(row(1)))
    write(tmp_path / "RS_2020-09", lines(submission("a")))
    write(tmp_path / "plain.jsonl", b'{"text": "words"}\n')
    at = str(tmp_path)
    inputs = [
        parse_input(f"{at}/a=one,mapping={at}/a.yaml"), parse_input(f"{at}/b/rows.jsonl=two,mapping={at}/b.yaml"),
        parse_input(f"{at}/dump=x.example"), Input(f"{at}/RS_2020-09"), parse_input(f"{at}/plain.jsonl=words"),
    ]  # fmt: skip
    manifest = ingest(tmp_path / "out", *inputs)
    found = sorted(post["doc_id"].rpartition(":")[0] for post in laws.all_rows(tmp_path / "out"))
    assert found == ["jsonl:words", "reddit:reddit.com", "set-a:one", "set-a:one", "set-b:two", "set-b:two",
                     "stackexchange:x.example"]  # fmt: skip
    build = strict_yaml.parse(BuildFile, (
        f"output: {at}/build\nannotate: {{}}\ninputs:\n  - {{path: {at}/a, site: one, mapping: {at}/a.yaml}}\n"
        f"  - {{path: {at}/b/rows.jsonl, site: two, mapping: {at}/b.yaml}}\n  - {{path: {at}/dump, site: x.example}}\n"
        f"  - {{path: {at}/RS_2020-09}}\n  - {{path: {at}/plain.jsonl, site: words}}\n"
    ), "build.yaml")  # fmt: skip
    assert list(build.inputs) == inputs
    # Which mapping reads which file is part of what a dataset is made from.
    swapped = [
        parse_input(f"{at}/a=one,mapping={at}/b.yaml"),
        parse_input(f"{at}/b/rows.jsonl=two,mapping={at}/a.yaml"),
    ]
    laws.assert_refuses_other(lambda: ingest(tmp_path / "out", *swapped, *inputs[2:]))
    assert load_manifest(str(tmp_path / "out")) == manifest
    assert inputs_of([f"{at}/a"], [], mapping="a.yaml") == [parse_input(f"{at}/a,mapping=a.yaml")]


def test_a_mapping_is_for_rows(tmp_path: Path) -> None:
    mapping = str(write(tmp_path / "map.yaml", MAPPING.format("set").encode()))
    dump = write(tmp_path / "Posts.xml", posts(row(1)))
    with pytest.raises(ValueError, match=r"map.yaml is for jsonl, parquet, and .*Posts.xml was .* stackexchange"):
        find_files([Input(str(dump), None, SITE, mapping)])


def test_the_command_takes_inputs_of_both_kinds(tmp_path: Path) -> None:
    write(tmp_path / "a" / "Posts.xml", posts(row(1)))
    write(tmp_path / "b.jsonl", b'{"text": "words"}\n')
    command = [sys.executable, "-m", "pipelines.cli", "ingest", "-o", str(tmp_path / "out"), "--num-shards", "1"]
    command += ["--site", "words", str(tmp_path / "b.jsonl"), "--input", f"{tmp_path}/a=x.example"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert {(entry["name"], entry["site"]) for entry in load_manifest(str(tmp_path / "out")).inputs} == {
        ("Posts.xml", "x.example"), ("b.jsonl", "words")
    }  # fmt: skip


# ------------------------------------------------------------------------------------------ names


def test_files_of_one_name_are_named_with_their_folders(tmp_path: Path) -> None:
    for path in ("x/a/p.jsonl", "y/a/p.jsonl", "y/b/p.jsonl", "y/b/q.jsonl"):
        write(tmp_path / path, json.dumps({"text": path}).encode() + b"\n{bad\n")
    wanted = ["b/p.jsonl", "q.jsonl", "x/a/p.jsonl", "y/a/p.jsonl"]
    files = [
        Input(str(tmp_path / "x" / "a")),
        Input(str(tmp_path / "y" / "a" / "p.jsonl")),
        Input(str(tmp_path / "y/b")),
    ]
    assert names(*files) == names(*files[::-1]) == wanted
    assert names(Input(f"{tmp_path}/y/../x/a/"), *files[1:]) == wanted, "however a path is written"
    moved = tmp_path / "elsewhere" / "deep"
    moved.mkdir(parents=True)
    for folder in ("x", "y"):
        (tmp_path / folder).rename(moved / folder)
    manifest = ingest(tmp_path / "out", *(Input(item.path.replace(str(tmp_path), str(moved))) for item in files))
    assert sorted(entry["name"] for entry in manifest.inputs) == wanted
    assert sorted({str(drop["file"]) for drop in rejects(tmp_path / "out")}) == wanted
    conserved(tmp_path / "out")
    whole = names(Input(str(moved)))
    assert whole == ["x/a/p.jsonl", "y/a/p.jsonl", "y/b/p.jsonl", "y/b/q.jsonl"], "below one folder all have theirs"


def test_a_file_for_two_sites_is_named_with_them(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", b'{"text": "a"}\n')
    again = tmp_path / "folder" / ".." / "p.jsonl"
    (tmp_path / "folder").mkdir()
    for other in (path, again):
        assert names(*of(path, site="one"), *of(other, site="two")) == ["one/p.jsonl", "two/p.jsonl"]


def test_members_of_one_name_in_archives_of_one_name(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        archive(tmp_path / folder / "dump.7z", {"Posts.xml": posts(row(1))})
    inputs = [Input(str(tmp_path / site[0] / "dump.7z"), site=site) for site in ("a.example", "b.example")]
    assert names(*inputs) == ["a/dump.7z/Posts.xml", "b/dump.7z/Posts.xml"]
