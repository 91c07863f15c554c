"""The data's files against their manifest, beside the first steps: a start is not held up by it, and nothing is saved
before it has ended."""

from __future__ import annotations

import threading

from transforms.datasets import checks
from transforms.datasets.dataset import Dataset


class FileCheck:
    """Checks every `world`-th file from number `rank` on, in a thread; all ranks together check all of them."""

    def __init__(self, data: Dataset, rank: int, world: int) -> None:
        self._data = data
        self._files = data.manifest.data_files[rank::world]
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._check, daemon=True, name="file check")
        self._thread.start()

    def wait(self) -> None:
        """Returns when all of this rank's files were checked. Raises DamagedError for one that was changed."""
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _check(self) -> None:
        try:
            for file in self._files:
                checks.check(self._data.place, file)
        except Exception as error:  # raised where somebody waits
            self._error = error
