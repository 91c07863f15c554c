"""How near-duplicates are searched for, and what is said of each document: settings and columns of the layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import pyarrow as pa

from transforms.datasets.schema import required
from transforms.datasets.settings import SettingError
from transforms.dedup.rank import Criterion
from transforms.dedup.similarity import Bounds

SCHEMA = pa.schema(
    [
        required("doc_id", pa.string()),
        required("cluster", pa.string()),  # the document of it that is kept; its own id when it has no duplicate
        required("cluster_size", pa.int64()),
        pa.field("kept", pa.string()),  # the document that this one is removed for
        pa.field("rule", pa.string()),  # by which it is removed: a similarity.Rule
        pa.field("similarity", pa.float64()),  # to the kept document, as that rule measures it
        pa.field("containment", pa.float64()),  # the share of its shingles that the kept document has
        required("keep", pa.bool_()),
        pa.field("reason", pa.string()),
    ]
)

# Of what documents are counted, with those that are removed: documents_by_language, removed_by_language …
ORIGINS = ("language", "source")


@dataclass(frozen=True)
class MinHashSpec:
    """How near-duplicates are searched for. bands * rows is the length of a signature, of runs of ngram tokens; of
    texts whose tokens most texts have, runs are longer (`of_dense_texts`). Only documents of one language are
    compared, unless across_languages. jaccard, lcs, containment: what a document's similarity to the kept one must
    reach, one of them, to be removed. priority: names of sources or sites, whose documents stay before all others', the
    first named first. survivor: of two documents of one priority the better one stays, by these criteria in order, then
    by id. most_removed: the largest share of a language's or a source's documents that may be removed; it changes no
    row. against: folders of the layers of finished builds, whose documents come before these, and those of the first
    before those of the next.

    The defaults were measured (`benchmarks/bands.py`): sets of single tokens in bands of eight find 0.97 of texts with
    words exchanged evenly to an LCS ratio of 0.85, with fewer chance candidates than runs of two to five in bands that
    find as many; datatrove's runs of five in bands of eight find 0.3 of them. What is proposed is compared before
    anything is removed.
    """

    ngram: int = 1  # tokens per shingle
    bands: int = 14
    rows: int = 8  # rows per band
    seed: int = 1
    across_languages: bool = False
    jaccard: float = Bounds.jaccard
    lcs: float = Bounds.lcs
    containment: float = Bounds.containment
    priority: Sequence[str] = ()
    survivor: Sequence[Criterion] = (Criterion.LONGEST, Criterion.OLDEST)
    most_removed: float = 0.8
    against: str | Sequence[str] = ()

    def __post_init__(self) -> None:
        for name, least, most in (("ngram", 1, 64), ("bands", 1, 1024), ("rows", 1, 1024), ("seed", 0, 2**32 - 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise SettingError(name, f"must be a whole number from {least} to {most}; got {value!r}")

        if not isinstance(self.across_languages, bool):
            raise SettingError("across_languages", f"must be true or false; got {self.across_languages!r}")
        if isinstance(self.most_removed, bool) or not 0 <= self.most_removed <= 1:
            raise SettingError("most_removed", f"must be a share from 0 to 1; got {self.most_removed!r}")
        _ = self.bounds
        if unknown := [name for name in self.survivor if name not in list(Criterion)]:
            raise SettingError("survivor", f"names {unknown[0]!r}; wanted some of {', '.join(Criterion)}")
        for name, names in (("priority", self.priority), ("survivor", self.survivor), ("against", self.earlier)):
            if twice := sorted({value for value in names if list(names).count(value) > 1}):
                raise SettingError(name, f"names {str(twice[0])!r} twice; each counts once, where it is first")

    @property
    def bounds(self) -> Bounds:
        """What decides. Raises SettingError for a bound that is none."""
        return Bounds(self.jaccard, self.lcs, self.containment)

    @property
    def earlier(self) -> Sequence[str]:
        """The folders of `against`."""
        return (self.against,) if isinstance(self.against, str) else self.against

    @property
    def by_quality(self) -> bool:
        """Whether the quality layer says which of like documents stays."""
        return Criterion.QUALITY in self.survivor

    @property
    def of_dense_texts(self) -> MinHashSpec:
        """Of texts in scripts without spaces, and of very long ones: runs of three, in more bands of half the rows. Two
        texts in Thai have most of their letters in common, and two of thousands of words many words.
        """
        rows = max(1, self.rows // 2)
        return replace(self, ngram=self.ngram + 2, bands=2 * self.bands + rows, rows=rows)

    @property
    def num_perm(self) -> int:
        """Length of a signature."""
        return self.bands * self.rows

    @property
    def catch_curves(self) -> Mapping[str, Mapping[str, object]]:
        """How most texts are searched for, and how dense ones: shingles, bands, and `p_candidate` by similarity."""
        return {
            name: {
                "ngram": spec.ngram,
                "bands": spec.bands,
                "rows": spec.rows,
                "probability": {f"{of / 20:.2f}": round(spec.p_candidate(of / 20), 4) for of in range(1, 21)},
            }
            for name, spec in (("most", self), ("dense", self.of_dense_texts))
        }

    def p_candidate(self, jaccard: float) -> float:
        """The probability that two texts of this Jaccard similarity share a band."""
        return float(1.0 - (1.0 - jaccard**self.rows) ** self.bands)


def spec_of(settings: Mapping[str, Any]) -> MinHashSpec:
    """The settings of a duplicates layer, from its manifest; it does not say where the builds were that it was held
    against."""
    names = {field.name for field in fields(MinHashSpec)} - {"against"}
    held: dict[str, Any] = {name: tuple(of) if isinstance(of, list) else of for name, of in settings.items()}
    given: dict[str, Any] = {name: value for name, value in held.items() if name in names}
    return MinHashSpec(**given)


def size_class(size: int) -> str:
    """The name of the size class a cluster falls into: "1", "2", "3-4", "5-8", "9-16" …"""
    most = 1 << (size - 1).bit_length()
    return str(size) if size <= 2 else f"{most // 2 + 1}-{most}"
