"""What every command of the command line shares: its options, the split at `--`, and errors a user can act on."""

from __future__ import annotations

import errno
import io
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape, render

from pipelines import log
from pipelines.local import limits, nursery, stops, temporary, watch
from pipelines.local.not_run import NotRunError
from transforms.datasets import places, shown
from transforms.datasets.settings import SettingError
from transforms.datasets.trust import TRUST


def _not_empty(place: str) -> str:
    if not place:
        raise ValueError("--output is empty text, which would be this folder; check the variable that it comes from")
    return place


Output = Annotated[
    str,
    typer.Option("--output", "-o", callback=_not_empty, help="Folder of the dataset to write (a path or a URL)."),
]
Layers = Annotated[str, typer.Option(help="Folder of the attribute layers of these documents.")]
Workers = Annotated[int, typer.Option(help="Local worker processes. One is fastest below about ten seconds of work.")]
Replace = Annotated[bool, typer.Option("--replace", help="Build anew where another dataset stands.")]
Keep = Annotated[
    bool,
    typer.Option("--keep", help="Go on with what stands where nothing but a version of Agora or a library changed."),
]


def _trust(yes: bool) -> bool:
    if yes:
        os.environ[TRUST] = "1"  # worker processes and trainers inherit it
    return yes


Trust = Annotated[
    bool,
    typer.Option(
        "--trust", callback=_trust, help="Read datasets without checking their files against their manifests."
    ),
]

USER_ERROR = 2
_WRONG_USE: Any = typer.BadParameter.__mro__[2]  # ClickException, of Click or of typer's own copy
# How Beam tells of an exception in a worker: its class, its message, and the step.
_WORKERS = re.compile(
    r"^(?:RuntimeError: )?(?:(?:[\w.]+\.Damaged|Value)Error: |\w+: (?=\[Errno ))"
    r"((?:(?!\n\n).)*?) \[while running '([^'\n]*)'\]",
    re.MULTILINE | re.DOTALL,
)
_ERRNO = re.compile(r"\[Errno (\d+)\]")
_FREE = "free some space, or name an --output on another disk, and run the same command again"
_ALLOW = "give yourself the right to it, or name another path"
_PATH = "check the path"
_ADVICE = {
    errno.ENOSPC: _FREE,
    errno.EDQUOT: _FREE,
    errno.EROFS: "nothing can be written there: name an --output on another disk, or make this one writable",
    errno.EACCES: _ALLOW,
    errno.EPERM: _ALLOW,
    errno.ENOENT: _PATH,
    errno.EEXIST: _PATH,
    errno.EISDIR: _PATH,
    errno.ENOTDIR: _PATH,
    errno.ENAMETOOLONG: _PATH,
}
_TEMPORARY = re.compile(r"\.tmp-[0-9a-f]{32}-")  # before the name of a file that was being written
_LOST = (
    "a worker process has died. If nothing above says why, the system has killed it, most likely for want of memory: "
    "give ingest a bound with --memory, or fewer --workers, and run the same command again"
)


class Told(Exception):  # noqa: N818
    """Raised where whoever failed has told why already, such as a trainer: nothing more is said.

    status: the exit status of the command.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"ended with status {status}, and said why")
        self.status = status


class _Console(Console):
    """Names are somebody else's: what they hold is shown as text, neither as markup nor as a terminal's commands. All
    of it goes to the log as well."""

    def print(self, *texts: Any, **how: Any) -> None:
        said = " ".join(map(str, texts))
        log.write(render(said).plain if how.get("markup") else said)
        super().print(*(shown.message(text) if isinstance(text, str) else text for text in texts), **how)


console = _Console(stderr=True, highlight=False, markup=False)


def beam_args(context: typer.Context) -> list[str]:
    """The arguments after `--`, which go to Beam."""
    return list(context.obj or ())


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    if "--" not in arguments:
        return list(arguments), []
    place = list(arguments).index("--")
    return list(arguments[:place]), list(arguments[place + 1 :])


def run_app(app: typer.Typer, name: str, takes_beam: bool = True) -> None:
    """Runs a command line: ours before `--`, Beam's after it, if the command has a pipeline. Ends by SystemExit.

    An error that the user can mend (ValueError, OSError), here or in a worker, is printed without a traceback and ends
    with status 2; Told ends with its own; a signal with 128 and its number; anything else is a defect of ours and shows
    its traceback.
    """
    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    # A worker's exception, or its death, is raised here as well; it would be shown twice and more, with traces.
    logging.getLogger("apache_beam.runners").setLevel(logging.CRITICAL)
    watch.install(_end)
    sys.excepthook = _show_trace
    ours, beams = _split(sys.argv[1:])
    try:
        with stopping():
            limits.check_address_space()
            if beams and not takes_beam:
                raise ValueError(f"nothing goes to Beam from {name} {ours[0]}, got {' '.join(beams)} after --")
            temporary.for_process()
            sys.exit(app(args=ours, prog_name=name, obj=beams, standalone_mode=False) or 0)
    except _WRONG_USE as error:  # a wrong option or argument
        told = io.StringIO()
        error.show(told)
        sys.stderr.write(shown.message(told.getvalue()))
        raise SystemExit(error.exit_code) from error
    except Told as error:
        log.write(str(error))
        _say_log()
        raise SystemExit(error.status) from error
    except typer.Abort as error:  # Click's for the end of a file
        raise error.__cause__ or error from None
    except NotRunError as told:
        console.print(str(told), soft_wrap=True)
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        if limits.is_too_little(error):
            watch.leave(_end(error))
        message = _of_worker(error) if isinstance(error, RuntimeError) else _message(error)
        if message is None:
            raise
        _say(message)
        _say_log()
        raise SystemExit(USER_ERROR) from error


@contextmanager
def stopping() -> Iterator[None]:
    """A signal that arrives in the block ends the process in one line, whatever the block made of it."""
    stops.install(nursery.stop, _stopped)
    try:
        yield
    finally:
        stops.over()
        if (number := stops.asked()) is not None:
            _stopped(number)


def check_file(place: str) -> None:
    """Before the work that makes a file: raises IsADirectoryError or PermissionError where no local one can be written.
    It may be there already."""
    if places.is_folder(place):
        raise IsADirectoryError(errno.EISDIR, "a folder stands where the file would be written", place)
    if places.is_local(place):
        places.check_writable(os.path.dirname(os.path.abspath(places.local_path(place))))


@contextmanager
def printing() -> Iterator[None]:
    """A block that prints to standard output, which all reaches; its reader may go before the end: `| head` has seen
    enough."""
    try:
        yield
        print(end="", flush=True)  # there may be no standard output
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _stopped(number: int) -> NoReturn:
    console.show_cursor(True)
    console.print(stops.told(number), soft_wrap=True)
    watch.leave(128 + number)


def _show_trace(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    told = shown.message("".join(traceback.format_exception(kind, error, trace)))
    log.write(told)
    sys.stderr.write(told)
    _say_log()


def _say_log() -> None:
    if place := log.place():
        sys.stderr.write(f"the log: {shown.name(place)}\n")


def _end(error: BaseException) -> int:
    """A pipeline hangs that has lost a worker, or finds no memory."""
    console.show_cursor(True)
    return refuse(limits.TOO_LITTLE if limits.is_too_little(error) else _LOST)


def refuse(message: str) -> int:
    """Says what is wrong, and gives the exit status."""
    _say(message)
    return USER_ERROR


def _say(message: str) -> None:
    for argument in sys.argv:
        if "\n" in argument:  # a line end of a name, not of ours
            message = message.replace(argument, shown.name(argument))
    console.print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True, markup=True)


def _of_worker(error: RuntimeError) -> str | None:
    """What a user can mend of an error that Beam made of a worker's; None when it is a defect.

    Beam keeps the text of an exception that it cannot build anew (an OSError), or that crossed a process.
    """
    found = _WORKERS.findall(str(error))
    if not found:
        return _LOST if watch.DIED.search(str(error)) else None
    message, step = found[-1]
    return "\n".join([f"{_advised(message)} (in the step {step})", *getattr(error, "__notes__", [])])


def _message(error: BaseException) -> str:
    """The error with its notes, and without the trace that Beam appends to what a worker raised."""
    told = error.of_flag() if isinstance(error, SettingError) else str(error)  # its dataclass was made of flags
    first = _advised(told.split("\n\nTraceback (most recent call last)")[0])
    return "\n".join([first, *getattr(error, "__notes__", [])]) or type(error).__name__


def _advised(message: str) -> str:
    """What the system says of a file, with what to do about it."""
    found = _ERRNO.match(message)
    advice = _ADVICE.get(int(found[1])) if found else None
    return f"{_TEMPORARY.sub('', message)}; {advice}" if advice else message


def run_command(command: Callable[..., Any]) -> None:
    """Runs one command as `python -m pipelines.<name>`."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    run_app(app, f"python -m pipelines.{Path(sys.argv[0]).stem}")
