"""Tries with secrets: author secrets and remove lists that are exchanged, lost or spelled otherwise during a run.

No row gets the key of another secret, and no post that is asked to be left out stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from unittest import mock

from benchmarks.try_forum import Forum, Outcome, Result, Tries, Try, emptied, wrong
from pipelines import ingest
from pipelines.ingest_plan import IngestSettings
from tests import golden_forum, laws

_SECRET, _OTHER = b"0b5e7c1fa94d4e6283f90dc716ba5a3e\n", b"e3a5ab617cd09f3826e4d49af1c7e5b0\n"
_LISTED, _MORE = b"golden.example:1\nstackexchange:golden.example:3\n", b"stackexchange:golden.example:2\n"
_FILES: Mapping[str, bytes] = {"secret": _SECRET, "list": _LISTED}

_EXCHANGED: Mapping[str, tuple[str, Callable[[bytes], bytes | None]]] = {
    "another secret": ("secret", lambda content: _OTHER),
    "a secret cut short": ("secret", lambda content: content[:20]),
    "an empty secret": ("secret", lambda content: b""),
    "no secret": ("secret", lambda content: None),
    "a secret in capitals": ("secret", bytes.upper),
    "another remove list": ("list", lambda content: _MORE),
    "a remove list with one more": ("list", lambda content: content + _MORE),
    "a remove list cut short": ("list", lambda content: content[: content.index(b"\n")]),
    "an empty remove list": ("list", lambda content: b""),
    "no remove list": ("list", lambda content: None),
}
_SPELLED: Mapping[str, tuple[str, Callable[[bytes], bytes]]] = {
    "a secret without its line end": ("secret", bytes.strip),
    "a secret with CRLF": ("secret", lambda content: content.strip() + b"\r\n"),
    "a secret with an empty line": ("secret", lambda content: b"\n" + content + b"\n"),
    "a remove list with CRLF": ("list", lambda content: content.replace(b"\n", b"\r\n")),
    "a remove list with a byte order mark": ("list", lambda content: b"\xef\xbb\xbf" + content),
    "a remove list in another order, with notes": (
        "list",
        lambda content: b"# note\n" + b"\n\n".join(reversed(content.splitlines())),
    ),
}
_WEAK = (
    b"",
    b"\n",
    b"beer",
    b"password1234",
    b"0123456789",
    b"hunter2hunter2hunter2",
    b"x" * 64,
    _SECRET[:16],
    b"\0" * 32,
)


def secrets(forum: Forum, seed: int) -> Tries:
    """Files that change between a run's begin and its workers, are spelled otherwise, can be guessed, or are not those
    that a cache was made with."""
    for name, (file, change) in _EXCHANGED.items():
        for workers in (1, 2):
            yield Try(f"{name} meanwhile, {workers} workers", partial(_exchanged, forum, file, change, workers))
        if change(_FILES[file]) and len(change(_FILES[file]) or b"") >= len(_MORE):
            yield Try(f"{name} beside a cache", partial(_beside_a_cache, forum, file, change))
    for name, (file, spell) in _SPELLED.items():
        yield Try(name, partial(_spelled, forum, file, spell))
    for content in _WEAK:
        yield Try(f"the secret {content!r}", partial(_weak, forum, content))


def _put(forum: Forum, **contents: bytes | None) -> Path:
    """The folder of both files, with other contents where they are given."""
    folder = emptied(forum.folder / "secrets")
    for name, content in {**_FILES, **contents}.items():
        if content is not None:
            (folder / name).write_bytes(content)
    return folder


def _run(forum: Forum, into: Path, workers: int = 1, reuse: Path | None = None) -> str:
    """What the run was refused for, or nothing."""
    folder = forum.folder / "secrets"
    settings = IngestSettings(
        num_shards=3,
        author_secret=str(folder / "secret"),
        remove_list=str(folder / "list"),
        max_drop_rate=1,
        reuse=str(reuse) if reuse else None,
    )
    try:
        ingest.run(golden_forum.inputs(forum.folder / "dump"), str(into), settings, workers)
    except (ValueError, RuntimeError) as error:
        return str(error)
    return ""


def _undisturbed(forum: Forum, name: str = "undisturbed", **contents: bytes | None) -> dict[str, bytes]:
    """The bytes of a run with these files."""
    place = forum.folder / "alone" / "secrets" / name
    if not place.exists():
        _put(forum, **contents)
        _run(forum, place)
    return laws.files_of(place)


def _exchanged(forum: Forum, file: str, change: Callable[[bytes], bytes | None], workers: int) -> Result:
    wanted = _undisturbed(forum)
    folder, into = _put(forum), emptied(forum.folder / "tries") / "out"
    build = ingest.build

    def meanwhile(*given: object) -> None:
        """Behind the plan, before any worker."""
        _put(forum, **{file: change(_FILES[file])})
        build(*given)  # type: ignore[arg-type]

    with mock.patch.object(ingest, "build", meanwhile):
        told = _run(forum, into, workers)
    if told and str(folder / file) not in told:
        return wrong(f"refused, but not for {file}: {told[:200]}")
    if told and (into / "manifest.json").exists():
        return wrong("refused, and a dataset stands")
    _put(forum)
    if again := _run(forum, into, workers):
        return wrong(f"refused with the files that it began with: {again[:200]}")
    if laws.files_of(into) != wanted:
        return wrong("the dataset is another one")
    return Result(Outcome.TOLD, told) if told else Result(Outcome.UNDISTURBED)


def _beside_a_cache(forum: Forum, file: str, change: Callable[[bytes], bytes | None]) -> Result:
    contents = {file: change(_FILES[file])}
    wanted = _undisturbed(forum, f"{file} {contents[file]!r}".replace("/", ""), **contents)
    into = emptied(forum.folder / "tries")
    _put(forum)
    first = _run(forum, into / "first", reuse=into / "cache")
    _put(forum, **contents)
    told = first or _run(forum, into / "second", reuse=into / "cache")
    if told:
        return wrong(f"refused: {told[:200]}")
    same = laws.files_of(into / "second") == wanted
    return Result(Outcome.UNDISTURBED) if same else wrong("rows of the cache came with the files of before")


def _spelled(forum: Forum, file: str, spell: Callable[[bytes], bytes]) -> Result:
    wanted, into = _undisturbed(forum), emptied(forum.folder / "tries") / "out"
    _put(forum, **{file: spell(_FILES[file])})
    told = _run(forum, into)
    if told or laws.files_of(into) != wanted:
        return wrong(told or "the dataset is another one")
    return Result(Outcome.UNDISTURBED)


def _weak(forum: Forum, content: bytes) -> Result:
    folder, into = _put(forum, secret=content), emptied(forum.folder / "tries") / "out"
    told = _run(forum, into)
    if str(folder / "secret") not in told or "agora secret" not in told or into.exists():
        return wrong(f"taken, or left something: {told[:200]}")
    return Result(Outcome.TOLD, told)
