"""The report's sections about tokens: how the tokenizer fits each language, and the curriculum's mix and its plan."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.report.counting import FEW
from pipelines.report.data import BuildFolder, Mix, View
from pipelines.report.html import Bar, Column, Few, Table, number, percent, share
from tokenizer.languages import language_name


def tokenizer_view(build: BuildFolder) -> View | None:
    """How the tokenizer fits each language."""
    if build.get("tokenizer") is None:
        return None
    sample = build.count("tokenizer", "sample_bytes")
    most = max((fit.bytes_per_token for fit in build.fits.values()), default=0.0)
    rows = [
        (Few if fit.texts < FEW else tuple)(
            (
                language_name(code),
                number(sample.get(code, 0)),
                number(fit.texts),
                number(fit.bytes_per_token, 2),
                Bar(share(fit.bytes_per_token, most), tone="grey" if fit.texts < FEW else "main"),
                f"{number(fit.fertility, 2)} per {fit.unit}",
                percent(fit.round_trip_rate, 0),
            )
        )
        for code, fit in sorted(build.fits.items(), key=lambda item: (-item[1].bytes_per_token, item[0]))
    ]
    columns = [
        Column("language", "name"),
        Column("trained on, bytes"),
        Column("texts measured"),
        Column("bytes per token"),
        Column("", "bar"),
        Column("tokens"),
        Column("exact round trips"),
    ]
    return {
        "vocabulary": build.vocabulary,
        "trained": sum(sample.values()),
        "fits": Table(columns, rows),
        "few": FEW if any(isinstance(row, Few) for row in rows) else 0,
    }


def curriculum_view(build: BuildFolder) -> View | None:
    """Each stage's mix beside its plan."""
    if build.get("curriculum") is None:
        return None
    capacity = build.count("curriculum", "capacity_tokens")
    by_stage: dict[str, list[Mix]] = {stage: [] for stage in build.stages}
    for row in build.mix:
        by_stage.setdefault(row.stage, []).append(row)
    tokens = sum(row.tokens for row in build.mix)
    return {
        "sequences": sum(row.sequences for row in build.mix),
        "tokens": tokens,
        "filled": share(tokens, sum(capacity.values())),
        "stages": [_stage(stage, rows) for stage, rows in by_stage.items()],
    }


def _stage(name: str, rows: Sequence[Mix]) -> View:
    planned = sum(row.planned for row in rows)
    tokens = sum(row.tokens for row in rows)
    most = max((share(row.planned, planned) or 0.0 for row in rows), default=0.0) or 1.0
    cells = [
        (
            language_name(row.language),
            percent(share(row.planned, planned)),
            percent(share(row.tokens, tokens)),
            Bar((share(row.tokens, tokens) or 0.0) / most, (share(row.planned, planned) or 0.0) / most),
            number(row.tokens),
            percent(share(row.repeated, row.tokens), 0) if row.repeated else "",
        )
        for row in sorted(rows, key=lambda row: (-row.planned, row.language))
    ]
    columns = [
        Column("language", "name"), Column("planned"), Column("actual"), Column("", "bar"), Column("tokens"),
        Column("seen before"),
    ]  # fmt: skip
    repeated = share(sum(row.repeated for row in rows), tokens)
    return {"name": name, "tokens": tokens, "planned": planned, "repeated": repeated, "mix": Table(columns, cells)}
