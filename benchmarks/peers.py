"""The peers' own virtual environment: `python -m benchmarks.peers` creates it, the benchmarks ask for its interpreter.

Peers pin what we do not, so they never share our environment. Versions are those of peers-constraints.txt; a changed
file makes the environment anew.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

_HERE = Path(__file__).parent
_CONSTRAINTS = _HERE / "peers-constraints.txt"
_FOLDER = _HERE.parent / ".cache" / "peers"
_REQUIREMENTS = (
    *("datatrove", "fasteners", "fasttext-numpy2-wheel", "orjson", "regex", "spacy", "tokenizers", "xxhash"),
    *("ftfy", "html-to-markdown", "html2text", "markdownify", "resiliparse", "selectolax", "tqdm"),
    *("py-data-juicer", "aiohttp", "ray", "torch"),  # data-juicer would fetch the last three when it runs
)


def peer_python() -> str:
    """The interpreter of the peers' environment, created first where it is absent or of other versions."""
    python = _FOLDER / "bin" / "python"
    wanted = hashlib.sha256(_CONSTRAINTS.read_bytes()).hexdigest()
    marker = _FOLDER / "constraints.sha256"
    if not (marker.exists() and marker.read_text() == wanted):
        shutil.rmtree(_FOLDER, ignore_errors=True)
        print(f"creating {_FOLDER} for {', '.join(_REQUIREMENTS)}", file=sys.stderr, flush=True)
        venv.create(_FOLDER, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--constraint", str(_CONSTRAINTS), *_REQUIREMENTS]
        subprocess.run(install, check=True)
        marker.write_text(wanted)
    return str(python)


def peer_version(package: str) -> str:
    """The installed version of a peer."""
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.run([peer_python(), "-c", code], check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    print(peer_python())
