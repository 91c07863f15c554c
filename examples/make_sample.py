"""Makes the embedded sample: enlarges the authored core to a forum and writes it as a Stack Exchange dump.

    python examples/make_sample.py            # writes examples/forum/ and examples/forum_truth.json
    python examples/make_sample.py OTHER      # the same below another folder

Standard library only, and the same bytes on every machine: tests/test_sample.py compares them with the committed files.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from sample_dump import odd_rows, tables
from sample_forum import Forum
from sample_text import read_core

HERE = Path(__file__).parent
SEED = "agora-sample-1"


def main(folder: Path) -> None:
    forum = Forum(read_core(HERE / "core"), SEED)
    (folder / "forum").mkdir(parents=True, exist_ok=True)
    for name, data in tables(forum, SEED).items():
        (folder / "forum" / name).write_bytes(data)
    truth = {**forum.truth(), "odd_rows": odd_rows(forum)}
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(value)}" for name, value in sorted(truth.items()))
    (folder / "forum_truth.json").write_bytes(f"{{\n{lines}\n}}\n".encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
