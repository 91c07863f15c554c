"""Beam options: the runner, the number of local workers, and a refusal of flags and runners that would do harm."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from pipelines.local import nursery, watch

RUNNERS = ("FnApiRunner", "PortableRunner", "DataflowRunner", "FlinkRunner")
ANY_RUNNER = "--any-runner"  # after `--` as well, but ours


@contextmanager
def beam_pipeline(workers: int = 1, beam_args: Sequence[str] = ()) -> Iterator[beam.Pipeline]:
    """A pipeline, which is run at the end of the block.

    Without a --runner flag it runs here, on FnApiRunner by name ("DirectRunner" may try to fetch another runner). More
    than one worker means as many processes: Python threads would share one core.

    Raises ValueError for a flag that Beam does not know (Beam itself only logs a warning), for a runner that is none of
    RUNNERS unless ANY_RUNNER is among the flags, or for fewer workers than 1.
    """
    pipeline = _pipeline(workers, beam_args)
    with watch.at_work(pipeline), pipeline:
        yield pipeline


def _pipeline(workers: int, beam_args: Sequence[str]) -> beam.Pipeline:
    if workers < 1:
        raise ValueError(f"--workers must be at least 1, got {workers}")
    flags = [flag for flag in beam_args if flag != ANY_RUNNER]
    _refuse_unknown(flags)
    if any(flag == "--runner" or flag.startswith("--runner=") for flag in flags):
        options = PipelineOptions(flags)
        if ANY_RUNNER not in beam_args:
            _refuse_runner(options.view_as(StandardOptions).runner)
        return beam.Pipeline(options=options)
    # Beam warns that our worker processes are not its own; they are meant.
    logging.getLogger("apache_beam.runners.portability.fn_api_runner.fn_runner").setLevel(logging.ERROR)
    environment = None
    if workers > 1:
        flags.append(f"--direct_num_workers={workers}")
        environment = SubprocessSDKEnvironment.from_command_string(nursery.ready())
    return beam.Pipeline(runner=FnApiRunner(default_environment=environment), options=PipelineOptions(flags))


def _refuse_runner(name: str) -> None:
    """Beam takes a runner by its class or its full path, in any case, with or without "Runner"."""
    short = name.rpartition(".")[2].lower().removesuffix("runner")
    if short not in (known.lower().removesuffix("runner") for known in RUNNERS):
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
