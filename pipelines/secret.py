"""Makes an author secret: a file of random characters that no process but ours needs to know.

Author keys are hashes keyed with it. Whoever has it can find the author of a key among the ids that a forum tells to
all; without it nobody can. Two datasets share their author keys when they are made with one secret.
"""

from __future__ import annotations

import secrets
from typing import Annotated

import typer

from pipelines.command import console, run_command
from transforms.datasets import places

_RANDOM_BYTES = 32
_OWNER_ALONE = 0o600


def run(place: str) -> None:
    """Writes a new secret, 43 characters and a line end. Raises ValueError where a file stands already, or no place is
    named."""
    if not place:
        raise ValueError("FILE is empty text; check the variable that it comes from")
    content = f"{secrets.token_urlsafe(_RANDOM_BYTES)}\n".encode()
    # A store may say no of what it has just written, when its answer was lost.
    if not places.create(place, content, _OWNER_ALONE) and not _is(place, content):
        raise ValueError(
            f"{place} is there already and stays: a secret that is overwritten is lost, and with it the author keys "
            "that it made; name a new file"
        )


def _is(place: str, content: bytes) -> bool:
    return not places.is_folder(place) and places.read_bytes(place) == content


def command(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file to write, a new one (a path or a URL).")],
) -> None:
    """Make a secret that keys author keys (a new file of 32 random bytes)."""
    run(file)
    console.print(
        f"secret: wrote {file}; keep it, and show it to nobody. It goes to --author-secret, or in a build file to "
        f"ingest: {{author_secret: {file}}}",
        soft_wrap=True,
    )


if __name__ == "__main__":
    run_command(command)
