"""Beam options: flags and runners that would do harm are refused by name."""

from __future__ import annotations

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from pipelines.local import options
from pipelines.local.options import ANY_RUNNER, RUNNERS, beam_pipeline


class QuietRunner(FnApiRunner):
    """Any other runner: Beam finds it by its path."""


QUIET = f"{__name__}.QuietRunner"


def built(*flags: str) -> beam.Pipeline:
    """The pipeline that the flags give, not run."""
    return options._pipeline(1, flags)


def test_unknown_beam_flags_are_refused() -> None:
    with pytest.raises(ValueError, match="did you mean --runner"), beam_pipeline(1, ["--runnr=DirectRunner"]):
        pass
    with pytest.raises(ValueError, match="at least 1"), beam_pipeline(0):
        pass


@pytest.mark.parametrize(
    "flags",
    [
        ["--runner=DirectRunner"],
        ["--runner", "direct"],
        ["--runner=BundleBasedDirectRunner"],
        ["--runner=SparkRunner"],
        ["--runner=PrismRunner"],
        ["--runner=apache_beam.runners.dask.dask_runner.DaskRunner"],
        ["--streaming", "--runner=dask.FlinkRunnerOfMine"],
        [f"--runner={QUIET}"],
        ["--runner="],
    ],
)
def test_other_runners_are_refused_by_name(flags: list[str]) -> None:
    name = flags[-1].removeprefix("--runner=")
    with pytest.raises(ValueError, match=f"--runner={name} is none of FnApiRunner, .*{ANY_RUNNER}"):
        built(*flags)


@pytest.mark.parametrize("name", [*RUNNERS, "fnapirunner", "FNAPI", "flink", "portable"])
def test_known_runners_are_taken_however_they_are_written(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    monkeypatch.setattr("apache_beam.pipeline.create_runner", lambda found: made.append(found) or FnApiRunner())
    built(f"--runner={name}")
    built("--runner", name)
    assert made == [name, name]
    built(f"--runner=apache_beam.runners.portability.{name}")


def test_another_runner_is_taken_when_told_so() -> None:
    pipeline = built(f"--runner={QUIET}", ANY_RUNNER)
    assert type(pipeline.runner).__name__ == "QuietRunner"
    assert isinstance(built(ANY_RUNNER).runner, FnApiRunner)
    assert isinstance(built().runner, FnApiRunner)
