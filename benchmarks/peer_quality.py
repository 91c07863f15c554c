"""datatrove's repair, language identification and filters by signals, on documents in memory.

    python benchmarks/peer_quality.py DOCUMENTS.jsonl LANGUAGE_MODEL spacy|plain stock|all

Runs in the peers' environment. The steps in FineWeb's order: FTFY, LanguageFilter with fastText, Gopher's repetition
and quality filters, FineWeb's quality filter, C4's. `spacy` is datatrove's stock English word tokenizer; `plain` gives
it a regular expression for words instead, the cheapest setting there is. `stock`: a document that a step drops does not
reach the next; `all`: thresholds that nothing passes, so that every signal of every document is computed.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    LanguageFilter,
)
from datatrove.pipeline.formatters import FTFYFormatter
from fasttext.FastText import _FastText
from loguru import logger

from benchmarks.harness import announce, timed
from benchmarks.peer_datatrove import PlainWords

_FAR = 1e9
_REPEATED = {
    **dict.fromkeys(("dup_line_frac", "dup_para_frac", "dup_line_char_frac", "dup_para_char_frac"), _FAR),
    "top_n_grams": tuple((n, _FAR) for n in range(2, 5)),
    "dup_n_grams": tuple((n, _FAR) for n in range(5, 11)),
}
_GOPHER = {
    **dict.fromkeys(("min_doc_words", "min_avg_word_length", "max_non_alpha_words_ratio", "min_stop_words"), -1),
    **dict.fromkeys(
        (
            *("max_doc_words", "max_avg_word_length"),
            *("max_symbol_word_ratio", "max_bullet_lines_ratio", "max_ellipsis_lines_ratio"),
        ),
        _FAR,
    ),
}
_FINEWEB = {
    "line_punct_thr": -1,
    **dict.fromkeys(("short_line_thr", "char_duplicates_ratio", "new_line_ratio"), _FAR),
}
_C4 = {"filter_curly_bracket": False, "min_num_sentences": 0, "filter_no_terminal_punct": False}


def _steps(model: str, words: object, drops: bool) -> list[PipelineStep]:
    languages = LanguageFilter(label_only=not drops)
    languages.model._model = _FastText(model)  # it would fetch lid.176.bin
    return [
        FTFYFormatter(),
        languages,
        GopherRepetitionFilter(language=words, **({} if drops else _REPEATED)),
        GopherQualityFilter(language=words, **({} if drops else _GOPHER)),
        FineWebQualityFilter(language=words, **({} if drops else _FINEWEB)),
        C4QualityFilter(language=words, **({} if drops else _C4)),
    ]


def main() -> None:
    source, model = Path(sys.argv[1]), sys.argv[2]
    logger.remove()
    words = PlainWords() if sys.argv[3] == "plain" else "eng"
    rows = [json.loads(line) for line in source.open(encoding="utf-8")]
    size = sum(len(row["text"].encode()) for row in rows)
    steps = _steps(model, words, sys.argv[4] == "stock")
    warm = "Warm up, please. " * 30  # loads the tokenizer outside of the timing
    for step in steps[2:]:
        step.filter(Document(warm, "warm"))
    with timed() as timer:
        documents = (Document(row["text"], row["id"]) for row in rows)
        for step in steps:
            documents = step.run(documents)
        kept = sum(1 for _ in documents)
    announce(timer, size, len(rows), kept=kept)


if __name__ == "__main__":
    main()
