"""What a report takes out of the shards of a build: figures and examples, each from the datasets that are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipelines.report.calibration import Calibration, read_calibration
from pipelines.report.contamination import Contamination, read_contamination
from pipelines.report.cuts import Cuts, read_cuts
from pipelines.report.examples import Dropped, Rejected, read_dropped, read_rejects
from pipelines.report.languages import Languages, read_languages
from pipelines.report.looking import Look
from pipelines.report.paired import Pairs, read_pairs
from pipelines.report.posts import Posts, read_posts
from pipelines.report.reading import Trouble
from pipelines.report.removals import Removals, read_removals
from pipelines.report.replay import Unpaired, read_unpaired
from transforms.datasets import places, schema
from transforms.layers.kinds import LAYERS
from transforms.pairs.rule import PairRule

KEPT = "kept"  # the fate of a candidate pair that became a pair

Counts = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Contents:
    """Figures and examples; None or empty where a dataset is absent or holds none."""

    posts: Posts | None = None
    languages: Languages | None = None
    contamination: Contamination | None = None
    removals: Removals | None = None
    pairs: Pairs | None = None
    cuts: Cuts | None = None
    calibration: Calibration | None = None
    rejected: Sequence[Rejected] = ()
    dropped: Sequence[Dropped] = ()
    unpaired: Sequence[Unpaired] = ()
    trained_length: int = 0  # in tokens, of the preference model; 0 when there is none


def read_contents(
    folder: str,
    datasets: Mapping[str, tuple[str, str]],
    counts: Mapping[str, Counts],
    rule: PairRule | None,
    evaluated: str,
    trained_length: int,
    troubles: list[Trouble],
) -> Contents:
    """datasets: place below the folder and kind, by role. counts: those of the manifests that can be read, by role.

    rule: of the pairs, where it can be read. evaluated: the split of the evaluation; nothing when it is not of the
    preference data here. What cannot be read is added to `troubles`.
    """

    def look(role: str, *schemas: pa.Schema) -> Look | None:
        if role not in counts:
            return None
        name, kind = datasets[role]
        return Look(places.join(folder, name), name, kind, schemas, troubles)

    documents, pairs = look("documents", schema.DOCUMENTS), look("pairs", schema.PAIRS)
    preference = look("preference", *(schema.preference_schema(kind) for kind in (pa.uint16(), pa.uint32())))
    scores = look("evaluation", schema.SCORES)
    rejects = look("documents", schema.REJECTS)
    lengths = [trained_length] if trained_length else []
    layers = {
        role: found for role, layer in LAYERS.items() if layer.keep and (found := look(role, layer.schema)) is not None
    }
    dropped = [
        example
        for role, layer in layers.items()
        if documents
        for example in read_dropped(role, layer, documents, counts[role].get("drop", {}))
    ]
    language, duplicates = layers.get("language"), layers.get("duplicates")
    reasons = counts.get("pairs", {}).get("candidates", {}).keys() - {KEPT}
    return Contents(
        posts=read_posts(documents) if documents else None,
        languages=read_languages(language, documents) if language and documents else None,
        contamination=read_contamination(layers["contamination"]) if "contamination" in layers else None,
        removals=read_removals(duplicates, documents) if duplicates and documents else None,
        pairs=read_pairs(pairs) if pairs else None,
        cuts=read_cuts(preference, lengths) if preference else None,
        calibration=read_calibration(scores, preference, evaluated) if scores and preference and evaluated else None,
        rejected=read_rejects(documents, rejects, counts["documents"].get("drop", {})) if documents and rejects else [],
        dropped=dropped,
        unpaired=read_unpaired(documents, layers, rule, reasons) if documents and rule else [],
        trained_length=trained_length,
    )
