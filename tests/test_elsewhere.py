"""Runs on other machines: refused before anything is begun, with all that is wrong at once; dry runs leave nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines import annotate, curriculum, ingest, pairs, tokenize
from pipelines.curriculum import RECIPES
from pipelines.ingest_plan import IngestSettings
from pipelines.local import elsewhere
from pipelines.local.not_run import NotRunError
from pipelines.local.options import SHARED_DISK, check_run
from tests.conftest import ROOT, forum_rows, write_posts
from tests.emulators import Emulator
from tests.small_dataset import PATHS, SPEC, opened, write
from transforms.curriculum.mix import Recipe
from transforms.datasets import places, strict_yaml
from transforms.datasets.standing import Existing
from transforms.datasets.step import Wanted, make_one
from transforms.layers import kinds
from transforms.pairs.rule import PairRule
from transforms.sources.inputs import Input

DATAFLOW = ("--runner=DataflowRunner", "--project=p", "--region=r")
FLINK = ("--runner=FlinkRunner", "--flink_master=cluster:8081")
SENT = f"--setup_file={ROOT}/setup.py"


@pytest.mark.parametrize(
    ("flags", "is_elsewhere"),
    [
        ([], False),
        (["--runner=FnApiRunner"], False),
        (["--runner=DataflowRunner"], True),
        (["--runner=apache_beam.runners.DataflowRunner", "--environment_type=LOOPBACK"], True),
        (["--runner=dataflow"], True),
        (["--runner=FlinkRunner"], False),
        (["--runner=FlinkRunner", "--flink_master=[local]"], False),
        (["--runner=FlinkRunner", "--environment_type=DOCKER"], True),
        (list(FLINK), True),
        ([*FLINK, "--environment_type=LOOPBACK"], False),
        ([*FLINK, "--environment_type=PROCESS"], True),
        (["--runner=FlinkRunner", "--flink_master=localhost:8081", "--environment_type=PROCESS"], False),
        (["--runner=PortableRunner", "--job_endpoint=localhost:8099"], True),
        (["--runner=PortableRunner", "--job_endpoint=embed"], False),
        (["--runner=PortableRunner", "--job_endpoint=cluster:8099", "--environment_type=LOOPBACK"], False),
        (["--runner=portable", "--environment_type=EXTERNAL", "--environment_config=localhost:50000"], False),
        (["--runner=portable", "--environment_type=EXTERNAL", '--environment_config={"url": "127.0.0.1:5"}'], False),
        (["--runner=portable", "--environment_type=EXTERNAL", "--environment_config=localhost.pool:50000"], True),
    ],
)
def test_which_runs_are_elsewhere(flags: list[str], is_elsewhere: bool) -> None:
    assert elsewhere.is_elsewhere(PipelineOptions(flags)) is is_elsewhere


def refusal(*flags: str, opened: list[tuple[str, str | None]] | None = None) -> list[str]:
    """The lines that say what is wrong; none when nothing is."""
    try:
        check_run(1, flags, opened or [])
    except ValueError as error:
        first, *lines = str(error).split("\n  ")
        assert first == "the run was not begun, since it could not be finished:"
        return lines
    return []


def test_all_that_is_wrong_is_told_at_once() -> None:
    places_named = [("DOCS", "local/docs"), ("--layers", "gs://b/layers"), ("--output", "/x"), ("--reuse", None)]
    lines = refusal(*DATAFLOW, "--temp_location=/tmp", "--no_wait_until_finish", opened=places_named)
    begins = [
        "--no_wait_until_finish leaves",
        "DOCS local/docs is on this",
        "--output /x is",
        "--temp_location /tmp is",
    ]
    assert [line[: len(begin)] for line, begin in zip(lines, begins, strict=False)] == begins
    assert lines[-1].startswith("workers have no Agora: give --setup_file=")
    assert len(lines) == 5


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "workers have no Agora"),
        (["--setup_file=no/setup.py"], "--setup_file no/setup.py is not there"),
        ([SENT], "workers have no gcsfs, which opens gs://"),
        ([SENT, f"--requirements_file={ROOT}/setup.py"], None),  # it has the word gcsfs
        ([f"--extra_package={ROOT}/setup.py"], "workers have no gcsfs"),
        (["--sdk_container_image=us/agora:1"], None),
        (["--worker_harness_container_image=us/agora:1"], None),
        (["--environment_type=DOCKER", "--environment_config=us/agora:1"], None),
    ],
)
def test_workers_must_get_our_code_and_what_opens_the_stores(flags: list[str], message: str | None) -> None:
    lines = refusal(*FLINK, *flags, opened=[("--output", "gs://b/o")])
    assert len(lines) == (message is not None)
    assert not message or lines[0].startswith(message)


@pytest.mark.parametrize(("scheme", "library"), [("gs", "gcsfs"), ("gcs", "gcsfs"), ("s3", "s3fs"), ("s3a", "s3fs")])
def test_every_name_of_a_store_needs_its_library(scheme: str, library: str) -> None:
    (line,) = refusal(*FLINK, SENT, opened=[("--output", f"{scheme}://b/o")])
    assert line.startswith(f"workers have no {library}, which opens {scheme}://")


def test_a_disk_that_all_workers_mount_is_taken_but_not_on_dataflow() -> None:
    image = "--sdk_container_image=us/agora:1"
    local = [("--output", "/mnt/all/o")]
    assert len(refusal(*FLINK, image, opened=local)) == 2
    assert not refusal(*FLINK, image, SHARED_DISK, opened=local)
    lines = refusal(*DATAFLOW, image, SHARED_DISK, opened=local)
    assert [line.split()[0] for line in lines] == ["--output", "--temp_location"]
    assert not refusal(opened=local)


@pytest.mark.parametrize("flag", ["--template_location", "--output_executable_path"])
def test_a_job_for_later_is_refused_on_every_runner(flag: str) -> None:
    for runner in ("--runner=FnApiRunner", "--runner=FlinkRunner"):
        (line,) = refusal(runner, f"{flag}=gs://b/t")
        assert line.startswith(f"{flag} gs://b/t makes a job that is started later")


def test_a_pool_whose_configuration_is_no_json_is_refused_by_its_flag() -> None:
    with pytest.raises(ValueError, match=r"^--environment_config {bad is no JSON: "):
        check_run(1, ["--runner=portable", "--environment_type=EXTERNAL", "--environment_config={bad"], [])


def test_a_mapping_is_sent_and_may_be_local() -> None:
    settings = IngestSettings(author_secret="secret", remove_list="list", reuse="cache")
    named = ingest._opened([Input("gs://b/rows", mapping="local.yaml"), Input("more")], "gs://b/o", settings)
    told = refusal(*FLINK, "--sdk_container_image=i", opened=named)
    assert [line.split(" is on")[0] for line in told[:-1]] == [
        "INPUT more", "--author-secret secret", "--remove-list list", "--reuse cache",
    ]  # fmt: skip


@pytest.mark.parametrize("step", ["ingest", "annotate", "pairs", "tokenize", "curriculum"])
def test_every_step_with_a_graph_states_what_its_workers_open(step: str) -> None:
    """Before it looks at anything: none of these is there."""
    rule, recipe = PairRule("r", 1, "score"), strict_yaml.load_named(Recipe, "demo", RECIPES)
    layers = kinds.settings_of({"language": "m.ftz", "split": None}, "here")
    runs = {
        "ingest": (lambda: ingest.run([Input("in")], "out", beam_args=DATAFLOW), ["in", "out"]),
        "annotate": (lambda: annotate.run("docs", "out", layers, beam_args=DATAFLOW), ["docs", "out", "m.ftz"]),
        "pairs": (lambda: pairs.run("docs", "lay", "out", rule, beam_args=DATAFLOW), ["docs", "lay", "out"]),
        "tokenize": (
            lambda: tokenize.run("docs", "tok", "out", "lay", beam_args=DATAFLOW),
            ["docs", "tok", "lay", "out"],
        ),
        "curriculum": (lambda: curriculum.run("tok", "lay", "out", recipe, beam_args=DATAFLOW), ["tok", "lay", "out"]),
    }
    run, opened = runs[step]
    with pytest.raises(ValueError, match="was not begun") as refused:
        run()
    assert all(f" {place} is on this machine" in str(refused.value) for place in opened)


def agora(*arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "pipelines.cli", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize("store", ["gs"], indirect=True)
def test_nothing_is_left_on_a_store_by_a_refused_run_or_a_dry_one(store: Emulator, tmp_path: Path) -> None:
    dump = write_posts(tmp_path / "Posts.xml", forum_rows(3))
    output = f"{store.url}/never"
    command = ["ingest", str(dump), "--site", "tiny.example", "--output", output, "--"]
    status, said = agora(*command, *DATAFLOW, SENT)
    assert status == 2
    assert f"INPUT {dump} is on this machine" in said
    assert output not in said.split("begun")[1], "its place is right"
    status, said = agora(*command, "--dry_run=true")
    assert (status, said.splitlines()[-1][:10]) == (0, "a dry run:")
    assert not places.list_files(output)


def test_a_dry_run_leaves_what_an_interrupted_run_has_finished(tmp_path: Path) -> None:
    with opened(tmp_path) as first:
        write(first.build, PATHS[0])
    before = {name: (tmp_path / name).read_bytes() for name in places.list_files(str(tmp_path))}

    def rehearse(build: object) -> None:
        raise NotRunError

    with pytest.raises(NotRunError):
        make_one(Wanted(str(tmp_path), SPEC, PATHS), Existing.REFUSE, rehearse, rehearse=True)
    assert {name: (tmp_path / name).read_bytes() for name in places.list_files(str(tmp_path))} == before


def test_a_dry_run_of_a_step_that_stands_does_nothing(tmp_path: Path) -> None:
    dump = write_posts(tmp_path / "Posts.xml", forum_rows(3))
    how = {"inputs": [Input(str(dump), site="tiny.example")], "output": str(tmp_path / "docs")}
    made = ingest.run(**how)
    assert ingest.run(**how, beam_args=["--dry_run=true"]) == made
    with pytest.raises(NotRunError):
        ingest.run([Input(str(dump), site="other.example")], str(tmp_path / "none"), beam_args=["--dry_run=true"])
    assert not (tmp_path / "none").exists()


def test_a_dry_run_leaves_the_parsed_rows_of_other_settings(tmp_path: Path) -> None:
    """A run with a remove list ends them: what it names must not live on there."""
    dump = write_posts(tmp_path / "Posts.xml", forum_rows(3))
    inputs, cache = [Input(str(dump), site="tiny.example")], str(tmp_path / "cache")
    ingest.run(inputs, str(tmp_path / "docs"), IngestSettings(reuse=cache))
    parsed = places.list_files(cache)
    (tmp_path / "list").write_text("1\n")
    settings = IngestSettings(reuse=cache, remove_list=str(tmp_path / "list"), max_drop_rate=1)
    with pytest.raises(NotRunError):
        ingest.run(inputs, str(tmp_path / "none"), settings, beam_args=["--dry_run=true"])
    assert places.list_files(cache) == parsed != []
    ingest.run(inputs, str(tmp_path / "none"), settings)
    assert not set(places.list_files(cache)) & set(parsed)
