"""Runs on other machines: what their workers could not open or import is told before anything is begun."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    GoogleCloudOptions,
    PipelineOptions,
    PortableOptions,
    SetupOptions,
    StandardOptions,
    WorkerOptions,
)
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
from apache_beam.runners import create_runner

from transforms.datasets import places, stores

_DATAFLOW, _FLINK, _PORTABLE = "dataflow", "flink", "portable"
_THIS_MACHINE = ("localhost", "127.0.0.1", "[::1]")
_STARTED_HERE = ("[local]", "[auto]", "embed")  # by Beam, as a process of ours
_LIBRARIES = {"gs": "gcsfs", "gcs": "gcsfs", "s3": "s3fs", "s3a": "s3fs"}

Opened = Iterable[tuple[str, str | None]]  # how the command line calls a place that workers open, and the place


def short_name(runner: str | None) -> str:
    """Beam takes a runner by its class or its full path, in any case, with or without "Runner"."""
    return (runner or "").rpartition(".")[2].lower().removesuffix("runner")


def is_elsewhere(options: PipelineOptions) -> bool:
    """Whether workers see another file system than this process, or other libraries.

    Dataflow's do. Those of a portable runner are containers, unless the environment is this process (LOOPBACK), or
    processes or a pool of workers on this machine. What is none of our runners is taken at its caller's word.
    """
    runner = short_name(options.view_as(StandardOptions).runner)
    if runner not in (_FLINK, _PORTABLE):
        return runner == _DATAFLOW
    portable, flink = options.view_as(PortableOptions), options.view_as(FlinkRunnerOptions)
    service = portable.job_endpoint or (flink.flink_master if runner == _FLINK else "")
    kind = portable.environment_type or ("LOOPBACK" if service in _STARTED_HERE else "DOCKER")
    if kind == "EXTERNAL":
        return not _is_this_machine(_url(portable.environment_config or ""))
    if kind == "PROCESS":
        return not (service in _STARTED_HERE or _is_this_machine(service))
    return kind != "LOOPBACK"


def _url(config: str) -> str:
    """Of a pool of workers: the configuration is it, or JSON that names it. Raises ValueError for what is no JSON."""
    try:
        return str(json.loads(config).get("url", "")) if config.startswith("{") else config
    except ValueError as error:
        raise ValueError(f"--environment_config {config} is no JSON: {error}") from None


def _is_this_machine(address: str) -> bool:
    host = address.rpartition("://")[2]
    return any(host == name or host.startswith(f"{name}:") for name in _THIS_MACHINE)


def problems(options: PipelineOptions, opened: Opened, shared_disk: bool) -> Iterator[str]:
    """What is wrong with a run elsewhere. shared_disk: workers mount local paths, as Dataflow's cannot."""
    cloud = options.view_as(GoogleCloudOptions)
    of_beam = [("--temp_location", cloud.temp_location), ("--staging_location", cloud.staging_location)]
    named = [(called, place) for called, place in (*opened, *of_beam) if place]
    unseen = [f"{called} {place} {problem}" for called, place in named if (problem := _unseen(place))]
    is_dataflow = short_name(options.view_as(StandardOptions).runner) == _DATAFLOW
    if unseen and not (shared_disk and not is_dataflow):
        yield from unseen
        if not is_dataflow:
            yield "(where all workers mount this machine's paths, say --shared-disk after --)"
    yield from _without_us(options, [place for _, place in named])
    if is_dataflow:
        yield from _of_dataflow(options, cloud)


def _without_us(options: PipelineOptions, opened: Sequence[str]) -> Iterator[str]:
    """What workers import is in their image, or sent to them with our requirements; stores' libraries are extras."""
    setup, portable = options.view_as(SetupOptions), options.view_as(PortableOptions)
    sent = [("--setup_file", setup.setup_file), *(("--extra_package", file) for file in setup.extra_packages or ())]
    files = [(flag, file) for flag, file in (*sent, ("--requirements_file", setup.requirements_file)) if file]
    absent = [f"{flag} {file} is not there" for flag, file in files if not places.exists(file)]
    yield from absent
    workers = options.view_as(WorkerOptions)
    images = (workers.sdk_container_image, workers.worker_harness_container_image)  # the latter: its older name
    if absent or any((*images, portable.environment_config, portable.environment_options)):
        return
    if not any(file for _, file in sent):
        yield (
            "workers have no Agora: give --setup_file=./setup.py of a checkout, --extra_package with our wheel, or an "
            "image that has it, as --sdk_container_image or --environment_config"
        )
        return
    listed = [places.read_bytes(file).decode("utf-8", "replace") for flag, file in files if "requirements" in flag]
    for scheme in sorted({place.partition("://")[0] for place in opened} & _LIBRARIES.keys()):
        if (library := _LIBRARIES[scheme]) not in "".join(listed):
            yield f"workers have no {library}, which opens {scheme}://: list it in a file, and give --requirements_file"


def _unseen(place: str) -> str | None:
    try:
        seen = stores.is_seen_elsewhere(place)
    except ValueError as error:
        return f"cannot be opened: {error}"
    return "is on this machine, where workers do not see it: copy it to gs:// or s3://" if not seen else None


def _of_dataflow(options: PipelineOptions, cloud: GoogleCloudOptions) -> Iterator[str]:
    """What Beam itself asks for. Without a temporary place it would make a bucket, so that is asked for first."""
    if not cloud.temp_location:
        yield "--temp_location is not given: name a folder on gs:// for what Beam itself keeps"
        return
    if _unseen(cloud.temp_location):
        return  # told already
    try:
        runner = create_runner("DataflowRunner")
        yield from (f"Beam says: {error}" for error in PipelineOptionsValidator(options, runner).validate())
    except ImportError as error:
        yield f"DataflowRunner cannot be loaded ({error}): pip install 'agora-forum[gcp]'"
