"""A corpus of a few languages, small enough to train on in a test: sentences of chance words."""

from __future__ import annotations

import random
from pathlib import Path

from transforms.langid.draw import Draw
from transforms.langid.train import TrainSettings

WORDS = {
    "eng_Latn": "the house water of people with strong winter bread slowly rises kitchen friend answer question where",
    "ind_Latn": "rumah yang bisa karena mobil kantor uang kapan sepeda pergi kemarin sekolah berbeda perusahaan",
    "zsm_Latn": "rumah yang boleh kerana kereta pejabat wang bila basikal pergi semalam sekolah berlainan syarikat",
    "bjn_Latn": "rumah nang kawa lantaran motor kantur duit pabila sapida tulak kamarian sakulah balain parusahaan",
    "bre": "dour ti tud gant kreñv goañv bara goustad kegin mignon respont goulenn pelec'h emañ ket amañ",
}
SETTINGS = TrainSettings(draw=Draw(samples=200, others=100), epochs=5, buckets=2_000, kept=600, bits=10, iterations=30)


def lines(label: str, number: int, seed: str = "") -> list[str]:
    """Sentences of four to nine words."""
    chance = random.Random(f"{label}{seed}")
    return [" ".join(chance.choices(WORDS[label].split(), k=chance.randint(4, 9))) for _ in range(number)]


def write(folder: Path, labels: list[str] | None = None, number: int = 240) -> Path:
    """The layout that `agora langid train` reads, with two sources."""
    rows = ["source\tlicence\tattribution\tcap\tweight", "news\tCC0-1.0\tNobody\t1000\t2", "chat\tMIT\tSomebody\t50\t1"]
    folder.mkdir(parents=True)
    (folder / "sources.tsv").write_text("\n".join(rows) + "\n", "utf-8")
    for source in ("news", "chat"):
        (folder / source).mkdir()
        for label in labels or list(WORDS):
            (folder / source / f"{label}.txt").write_text("\n".join(lines(label, number, source)) + "\n", "utf-8")
    return folder
