"""Finished builds that new documents are held against: what is known of each of their documents, and what became of it.

Two layers of such a build say it, row for row: its duplicates, and its signatures, which hold what a search needs of a
text and are not computed again. What became of these documents is fixed. They come before all new ones; so a document
that was kept is kept for good, and a new copy of one that was removed goes for what that went for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.datasets import places
from transforms.datasets.align import check_aligned, check_rows_aligned
from transforms.datasets.dataset import Dataset
from transforms.datasets.names import MANIFEST
from transforms.datasets.schema import required
from transforms.datasets.shards import read_shard
from transforms.datasets.step import Step
from transforms.dedup.rank import RANK

# What is compared of a document. digest: of the whole text, in its language; text: of that and of the tokens, which
# may differ where one text stands in code and the other does not. Both are 0 where there is nothing to compare.
COMPARED = pa.schema([("digest", pa.uint64()), ("text", pa.uint64()), ("tokens", pa.list_(pa.uint64()))])
ROWS = pa.schema([*RANK, ("language", pa.uint64()), *COMPARED])
SIGNATURES = pa.schema(
    [
        *[field if field.name == "created" else required(field.name, field.type) for field in RANK],
        required("digest", pa.uint64()),
        required("text", pa.uint64()),
        required("tokens", pa.list_(pa.uint64())),  # of documents that are kept; none of others
        required("bands", pa.list_(pa.uint64())),  # digests; of a copy of one that is kept, that of the whole text
        required("marks", pa.list_(pa.uint64())),  # of the kinds of bands that it has
    ]
)
STEP = Step("signatures", version=1)
FATE = ("kept", "rule", "similarity", "containment")
KNOWN = pa.schema(
    [
        SIGNATURES.field("bands"),
        SIGNATURES.field("marks"),
        ("kept", pa.string()),
        ("rule", pa.string()),
        ("similarity", pa.float64()),
        ("containment", pa.float64()),
    ]
)
PRIORITIES = 1 << 16  # how far documents of a build come before those of the next


@dataclass(frozen=True)
class Earlier:
    """The layers of a finished build."""

    duplicates: Dataset
    signatures: Dataset

    @staticmethod
    def open(place: str) -> Earlier:
        """The layers in a folder. Raises ValueError when one is not there, or they are of different documents."""
        names = ("duplicates", "signatures")
        if missing := [name for name in names if not places.exists(places.join(place, name, MANIFEST))]:
            raise ValueError(
                f"no {' and no '.join(missing)} layer at {place}; name the folder of layers of a finished build, and "
                f"make there what is missing: agora annotate DOCS --layers {','.join(missing)} -o {place}"
            )
        found = Earlier(*(Dataset.open(places.join(place, name), name) for name in names))
        check_aligned(found.duplicates.manifest, found.signatures.manifest, "signatures")
        made_from = found.signatures.manifest.parents["layers/duplicates"]
        if made_from != found.duplicates.digest:
            raise ValueError(
                f"the signatures layer at {place} was made from another duplicates layer than the one beside it "
                f"({made_from[:16]}, there is {found.duplicates.digest[:16]}); make it anew with agora annotate "
                "--layers signatures --replace"
            )
        return found

    @property
    def digests(self) -> list[str]:
        """Of both layers' manifests."""
        return [self.duplicates.digest, self.signatures.digest]

    @property
    def documents(self) -> str:
        """The digest of the documents that they describe."""
        return self.duplicates.manifest.parents["documents"]

    @property
    def paths(self) -> Sequence[str]:
        """Of the shards."""
        return self.duplicates.paths

    @property
    def num_documents(self) -> int:
        """In all shards."""
        return self.duplicates.manifest.rows

    def rows(self, path: str, place: int) -> pa.Table:
        """ROWS and KNOWN of a shard. place: of this build, negative, before that of later ones and of new documents."""
        signed = read_shard(self.signatures, path)
        fates = read_shard(self.duplicates, path, ["doc_id", *FATE])
        check_rows_aligned(fates, {"signatures": signed})
        priority = pc.add(signed.column("priority"), pa.scalar(place * PRIORITIES, pa.int32()))
        columns: Mapping[str, pa.ChunkedArray | pa.Array] = {
            **{name: signed.column(name) for name in signed.column_names},
            **{name: fates.column(name) for name in FATE},
            "priority": priority,
            "language": pa.array(np.zeros(signed.num_rows, np.uint64)),  # it is in the digests
        }
        names = [*ROWS.names, *KNOWN.names]
        return pa.table([columns[name] for name in names], schema=pa.schema([*ROWS, *KNOWN]))
