"""datatrove's MinHash deduplication, all four stages on one worker; runs in the peers' environment.

    python benchmarks/peer_datatrove.py DOCUMENTS.jsonl SCRATCH BANDS ROWS NGRAM spacy|plain

`spacy` is datatrove's stock English word tokenizer; `plain` gives it a regular expression for words instead, the
cheapest setting there is. Writes SCRATCH/removals.json: the id of each removed document, and of the one of its cluster
that is kept.
"""

import json
import re
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers.jsonl import JsonlWriter
from datatrove.utils.word_tokenizers import WordTokenizer
from loguru import logger

from benchmarks.harness import announce, timed

_WORD = re.compile(r"\w+")


class PlainWords(WordTokenizer):
    """Words as runs of letters and digits."""

    def word_tokenize(self, text: str) -> list[str]:
        """As WordTokenizer."""
        return _WORD.findall(text)

    def sent_tokenize(self, text: str) -> list[str]:
        """The text, whole."""
        return [text]

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        """The span of the text."""
        return [(0, len(text))]


def _run_stages(documents: Path, scratch: Path, config: MinhashConfig, language: object) -> None:
    folders = {name: str(scratch / name) for name in ("signatures", "buckets", "clusters", "kept", "logs")}

    def reader() -> JsonlReader:
        return JsonlReader(str(documents.parent), glob_pattern=documents.name)

    def stage(name: str, tasks: int, *steps: object) -> None:
        LocalPipelineExecutor(
            pipeline=list(steps), tasks=tasks, workers=1, logging_dir=f"{folders['logs']}/{name}", skip_completed=False
        ).run()

    stage("1", 1, reader(), MinhashDedupSignature(folders["signatures"], config=config, language=language))
    stage(
        "2",
        config.num_buckets,
        MinhashDedupBuckets(folders["signatures"], folders["buckets"], config=config),
    )
    stage("3", 1, MinhashDedupCluster(folders["buckets"], folders["clusters"], config=config, save_cluster_id=True))
    stage(
        "4",
        1,
        reader(),
        MinhashDedupFilter(folders["clusters"], load_cluster_ids=True),
        JsonlWriter(folders["kept"], compression=None),
    )


def _removals(documents: Path, scratch: Path) -> dict[str, str]:
    """Removed ids and those kept for them: clusters from the (document number, cluster) pairs of stage 3, what is kept
    from the output of stage 4."""
    ids = [json.loads(line)["id"] for line in documents.open(encoding="utf-8")]
    kept = {json.loads(line)["id"] for file in (scratch / "kept").iterdir() for line in file.open(encoding="utf-8")}
    pairs = memoryview((scratch / "clusters" / "000000.clusters").read_bytes()).cast("I").tolist()
    members: dict[int, list[str]] = {}
    for number, cluster in zip(pairs[::2], pairs[1::2], strict=True):
        members.setdefault(cluster, []).append(ids[number])
    removals: dict[str, str] = {}
    for found in members.values():
        [survivor] = [doc_id for doc_id in found if doc_id in kept]
        removals |= {doc_id: survivor for doc_id in found if doc_id != survivor}
    return removals


def main() -> None:
    documents, scratch = Path(sys.argv[1]), Path(sys.argv[2])
    bands, rows, ngram = map(int, sys.argv[3:6])
    logger.remove()
    shutil.rmtree(scratch, ignore_errors=True)
    config = MinhashConfig(n_grams=ngram, num_buckets=bands, hashes_per_bucket=rows)
    language = PlainWords() if sys.argv[6] == "plain" else "eng"
    if language == "eng":  # a first document loads the tokenizer outside of the timing
        MinhashDedupSignature(str(scratch / "warm"), config=config, language="eng").get_shingles("Warm up, please do.")
    with timed() as timer:
        _run_stages(documents, scratch, config, language)
    num_records = sum(1 for _ in documents.open("rb"))
    (scratch / "removals.json").write_text(json.dumps(_removals(documents, scratch)))
    announce(timer, documents.stat().st_size, num_records)


if __name__ == "__main__":
    main()
