"""The settings of the search for near-duplicates."""

from __future__ import annotations

from dataclasses import dataclass

from transforms.datasets.settings import SettingError


@dataclass(frozen=True)
class MinHashSpec:
    """How near-duplicates are searched for. bands * rows is the length of a signature.

    The defaults are datatrove's and FineWeb's: two texts of Jaccard similarity 0.8 become candidates with probability
    0.924, of 0.7 with 0.56, of 0.5 with 0.05.
    """

    ngram: int = 5  # tokens per shingle
    bands: int = 14
    rows: int = 8  # rows per band
    seed: int = 1

    def __post_init__(self) -> None:
        for name, least, most in (("ngram", 1, 64), ("bands", 1, 1024), ("rows", 1, 1024), ("seed", 0, 2**32 - 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise SettingError(name, f"must be a whole number from {least} to {most}; got {value!r}")

    @property
    def num_perm(self) -> int:
        """Length of a signature."""
        return self.bands * self.rows

    def p_candidate(self, jaccard: float) -> float:
        """The probability that two texts of this Jaccard similarity share a band."""
        return float(1.0 - (1.0 - jaccard**self.rows) ** self.bands)
