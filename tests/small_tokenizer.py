"""A small tokenizer of our own, trained once per test run on text written here: for tests of ids, not of quality."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tokenizer import convert, spm
from tokenizer.encoder import Encoder

TEXTS = (
    "How do I keep a sourdough starter alive when I travel?\nFeed it twice, then put it in the fridge.",
    "Un levain se garde deux semaines au réfrigérateur ; nourrissez-le avant de partir.",
    "Закваска живёт в холодильнике две недели, если её покормить перед отъездом.",
    "出发前喂一次酵头，然后放进冰箱，可以保存两个星期。",
    "出発する前に一度餌をやり、冷蔵庫に入れれば二週間もちます。",
    "أطعم الخميرة قبل السفر ثم ضعها في الثلاجة لمدة أسبوعين.",
    "यात्रा से पहले खमीर को खिलाएँ और फ्रिज में रख दें।",
    "ก่อนเดินทางให้อาหารหัวเชื้อแล้วเก็บไว้ในตู้เย็น",
    "여행 전에 발효종에 밥을 주고 냉장고에 넣으세요.",
    "for i in range(10):\n    if i % 2 == 0:\n        print(i, '-' * 40)\n    else:\n        return None",
    "------------------------ ======== ........ hahahahaha banana bananas",
    "| a | b |\n|---|---|\n| 1 | 2 |\n\n* one\n* two",
    "Flour    water        salt                 oil",
)

VOCAB_SIZE = 700


@cache
def small_model(vocab_size: int = VOCAB_SIZE) -> bytes:
    lines = [line for text in TEXTS for line in spm.training_lines(text)]
    return spm.train(lines, vocab_size, character_coverage=1.0)


def write_small_tokenizer(folder: Path, vocab_size: int = VOCAB_SIZE) -> Path:
    """Writes the files of a tokenizer dataset, without its manifest."""
    pieces = spm.read_pieces(small_model(vocab_size))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.model").write_bytes(small_model(vocab_size))
    (folder / "tokenizer.json").write_bytes(convert.tokenizer_json(pieces))
    (folder / "tokenizer_config.json").write_bytes(convert.tokenizer_config(pieces))
    (folder / "special_tokens_map.json").write_bytes(convert.special_tokens_map())
    return folder


def small_encoder(folder: Path) -> Encoder:
    return Encoder.load(str(write_small_tokenizer(folder)))
