"""`python -m tests.regold`: writes the goldens anew, unless content changed under an unchanged version."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests import golden_forum, goldens
from tests.conftest import LID_MODEL


def main(folder: Path = goldens.FOLDER) -> int:
    with tempfile.TemporaryDirectory() as place:
        found = golden_forum.build(Path(place), LID_MODEL)
    try:
        written = goldens.write(found, folder)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join([f"written: {line}" for line in written] or ["every golden stands as it was"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
