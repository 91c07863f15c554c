"""Beam options: the runner, the number of local workers, and a refusal of flags and runners that would do harm.

What is wrong is told before a dataset is begun (`check_run`): a refused run leaves nothing behind.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    DirectOptions,
    GoogleCloudOptions,
    PipelineOptions,
    PortableOptions,
    StandardOptions,
    TestOptions,
)
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from pipelines.local import elsewhere, nursery, watch
from pipelines.local.not_run import NotRunError

RUNNERS = ("FnApiRunner", "PortableRunner", "DataflowRunner", "FlinkRunner")
# After `--` as well, but ours.
ANY_RUNNER = "--any-runner"
SHARED_DISK = "--shared-disk"  # local paths are on a disk that all workers mount at the same place


def check_run(workers: int, beam_args: Sequence[str], opened: elsewhere.Opened) -> bool:
    """Whether the graph is only to be built (--dry_run), after a look at everything that could be wrong with its run.

    opened: the places that workers open, as the command line calls them. Raises ValueError for a flag that Beam does
    not know (Beam itself only logs a warning), for a runner that is none of RUNNERS unless ANY_RUNNER is among the
    flags, for fewer workers than 1, and with all that is wrong at once for a run that nobody would wait for, or on
    other machines that could not open a place or import us.
    """
    options = _options(workers, beam_args)
    wrong = list(_unattended(options))
    if elsewhere.is_elsewhere(options):
        wrong += elsewhere.problems(options, opened, SHARED_DISK in beam_args)
    if wrong:
        raise ValueError("\n  ".join(["the run was not begun, since it could not be finished:", *wrong]))
    return _is_dry(options)


def _unattended(options: PipelineOptions) -> Iterator[str]:
    """A step's own process writes the manifest when the graph has run."""
    for flag, place in (
        ("--template_location", options.view_as(GoogleCloudOptions).template_location),
        ("--output_executable_path", options.view_as(PortableOptions).output_executable_path),
    ):
        if place:
            yield (
                f"{flag} {place} makes a job that is started later, when nobody waits to make a dataset of what it "
                "wrote; --dry_run=true builds the graph alone"
            )
    if options.view_as(StandardOptions).no_wait_until_finish:
        yield "--no_wait_until_finish leaves nobody to make a dataset of what the job wrote; leave it out"


def _is_dry(options: PipelineOptions) -> bool:
    return str(options.view_as(TestOptions).dry_run).lower() not in ("false", "none", "0", "")


@contextmanager
def beam_pipeline(workers: int = 1, beam_args: Sequence[str] = ()) -> Iterator[beam.Pipeline]:
    """A pipeline, which is run at the end of the block; with --dry_run it is built alone, and NotRunError raised.

    Without a --runner flag it runs here, on FnApiRunner by name ("DirectRunner" may try to fetch another runner). More
    than one worker means as many processes: Python threads would share one core.

    Raises ValueError as `check_run` does, which comes before.
    """
    pipeline = _pipeline(workers, beam_args)
    if _is_dry(pipeline.options):
        yield pipeline
        pipeline.to_runner_api()  # so that what cannot be sent to workers is found
        raise NotRunError("a dry run: the graph was built, and neither run nor sent; nothing was written")
    with watch.at_work(pipeline), pipeline:
        yield pipeline


def _options(workers: int, beam_args: Sequence[str]) -> PipelineOptions:
    if workers < 1:
        raise ValueError(f"--workers must be at least 1, got {workers}")
    flags = [flag for flag in beam_args if flag not in (ANY_RUNNER, SHARED_DISK)]
    _refuse_unknown(flags)
    options = PipelineOptions(flags)
    if _names_runner(flags) and ANY_RUNNER not in beam_args:
        _refuse_runner(options.view_as(StandardOptions).runner)
    return options


def _names_runner(flags: Sequence[str]) -> bool:
    return any(flag == "--runner" or flag.startswith("--runner=") for flag in flags)


def _pipeline(workers: int, beam_args: Sequence[str]) -> beam.Pipeline:
    options = _options(workers, beam_args)
    if _names_runner(beam_args):
        return beam.Pipeline(options=options)
    # Beam warns that our worker processes are not its own; they are meant.
    logging.getLogger("apache_beam.runners.portability.fn_api_runner.fn_runner").setLevel(logging.ERROR)
    environment = None
    if workers > 1:
        options.view_as(DirectOptions).direct_num_workers = workers
        environment = SubprocessSDKEnvironment.from_command_string(nursery.ready())
    return beam.Pipeline(runner=FnApiRunner(default_environment=environment), options=options)


def _refuse_runner(name: str) -> None:
    if elsewhere.short_name(name) not in map(elsewhere.short_name, RUNNERS):
        raise ValueError(
            f"--runner={name} is none of {', '.join(RUNNERS)}, which are known to hand on every row. Others lose some "
            "and say nothing (DaskRunner what a bundle's end yields), or pick a runner by themselves (DirectRunner). "
            f"Leave --runner out to run here; {ANY_RUNNER} after -- takes it all the same: what it loses on the way to "
            "a shard then ends the run, but not every loss is seen"
        )


def _refuse_unknown(flags: Sequence[str]) -> None:
    options = PipelineOptions(list(flags))
    known = set(options.get_all_options())
    unknown = sorted(set(options.get_all_options(retain_unknown_options=True)) - known)
    if unknown:
        close = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f"; did you mean --{close[0]}?" if close else ""
        raise ValueError(f"Beam does not know --{unknown[0]}{hint} (everything after -- goes to Beam)")
