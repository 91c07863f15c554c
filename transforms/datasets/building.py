"""A dataset that is being built, for those who write its files: where they go, and which of them are finished.

Each file is written atomically and leaves a part-record beside it, which names the build. So a killed build shows
nothing, and the next run of the same build keeps what was finished (`opening`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from transforms.datasets import places, strict_json
from transforms.datasets.manifest import ShardFile, is_below
from transforms.datasets.names import REJECTS, SCRATCH, part_name


@dataclass(frozen=True)
class Build:
    """What a worker must know of a build; small, so that it can be sent to every one.

    work: the folder its files are written into: where the dataset will stand, or one below while another one stands
    there. nonce: names the build; runs that go on with it bear the same.
    """

    work: str
    kind: str
    fingerprint: str
    nonce: str

    @property
    def scratch(self) -> str:
        """Scratch space, which ends with the build."""
        return self.at(SCRATCH)

    def at(self, path: str) -> str:
        """The place of a file of the dataset while it is being built."""
        return places.join(self.work, path)

    def kind_of(self, path: str) -> str:
        """What a file's schema says it is."""
        return REJECTS if path.startswith(f"{REJECTS}/") else self.kind

    def finished(self, path: str) -> ShardFile | None:
        """The part-record of a file that this build has finished, in this run or in an interrupted one; else None."""
        record = self.at(part_name(path))
        file = self.read_record(record) if places.exists(record) else None
        target = self.at(path)
        return file if file and places.exists(target) and places.size(target) == file.bytes else None

    def read_record(self, record: str) -> ShardFile | None:
        """The file of a part-record; None when it cannot be read or is another build's: unfinished work."""
        try:
            values = strict_json.load(record)
            if (values["fingerprint"], values["nonce"]) != (self.fingerprint, self.nonce):
                return None
            return ShardFile(**values["file"])
        except (ValueError, TypeError, KeyError):
            return None

    def leave_record(self, file: ShardFile) -> ShardFile:
        """Writes the part-record of a file that stands whole at its place."""
        record = {"fingerprint": self.fingerprint, "nonce": self.nonce, "file": asdict(file)}
        data = json.dumps(record, sort_keys=True, ensure_ascii=False).encode()
        places.write_atomically(self.at(part_name(file.path)), data)
        return file

    def adopt(self, source: str, path: str) -> ShardFile:
        """Gives a file that is not Arrow (a model, a card), whole in scratch space, its place. The record is written
        first, so that nothing stands there which no record names."""
        sha256, xxh3 = places.digests(source)
        file = self.leave_record(ShardFile(path, 0, places.size(source), sha256, xxh3))
        places.move(source, self.at(path))
        return file

    def write_file(self, path: str, data: bytes) -> ShardFile:
        """`adopt` of a file of these bytes."""
        source = places.join(self.scratch, path)
        places.write_atomically(source, data)
        return self.adopt(source, path)


def path_in_record(record: str) -> str | None:
    """The file that a part-record names, of whatever build; None when it cannot be read."""
    try:
        path = strict_json.load(record)["file"]["path"]
    except (ValueError, TypeError, KeyError):
        return None
    return path if isinstance(path, str) and is_below(path) else None
