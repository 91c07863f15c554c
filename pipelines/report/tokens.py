"""The report's sections about tokens: how the tokenizer fits each language, and the curriculum's mix and its plan."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.report.data import FEW, Build, Mix
from pipelines.report.html import (
    Column,
    Few,
    Html,
    bar,
    counted,
    join,
    long_table,
    number,
    paragraph,
    percent,
    share,
    tag,
)
from tokenizer.languages import language_name


def tokenizer_section(build: Build) -> Html | None:
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
                bar(share(fit.bytes_per_token, most), tone="grey" if fit.texts < FEW else "main"),
                f"{number(fit.fertility, 2)} per {fit.unit}",
                percent(fit.round_trip_rate, 0),
            )
        )
        for code, fit in sorted(build.fits.items(), key=lambda item: (-item[1].bytes_per_token, item[0]))
    ]
    few = any(isinstance(row, Few) for row in rows)
    columns = [
        Column("language", "name"),
        Column("trained on, bytes"),
        Column("texts measured"),
        Column("bytes per token"),
        Column("", "bar"),
        Column("tokens"),
        Column("exact round trips"),
    ]
    return join(
        [
            paragraph(
                f"{number(build.vocabulary)} entries, trained on {number(sum(sample.values()))} bytes of the train "
                "split. Measured on the validation split: more bytes per token is a shorter sequence for the same "
                "text. Scripts need one to three bytes a character, so compare a language with itself across "
                "tokenizers, not with another language."
            ),
            long_table(columns, rows),
            *([paragraph(f"Grey: measured on fewer than {FEW} texts.", class_="note")] if few else []),
        ]
    )


def curriculum_section(build: Build) -> Html | None:
    if build.get("curriculum") is None:
        return None
    capacity = build.count("curriculum", "capacity_tokens")
    by_stage: dict[str, list[Mix]] = {stage: [] for stage in build.stages}
    for row in build.mix:
        by_stage.setdefault(row.stage, []).append(row)
    tokens = sum(row.tokens for row in build.mix)
    sequences = sum(row.sequences for row in build.mix)
    return join(
        [
            paragraph(
                f"{number(sequences)} sequences with {number(tokens)} tokens in {counted(len(by_stage), 'stage')}; "
                f"{percent(share(tokens, sum(capacity.values())), 2)} of their places are filled. Sequences are "
                "ordered so that every stretch of a stage has the stage's mix."
            ),
            *(_stage(stage, rows) for stage, rows in by_stage.items()),
        ]
    )


def _stage(name: str, rows: Sequence[Mix]) -> Html:
    planned = sum(row.planned for row in rows)
    tokens = sum(row.tokens for row in rows)
    repeated = sum(row.repeated for row in rows)
    most = max((share(row.planned, planned) or 0.0 for row in rows), default=0.0) or 1.0
    cells = [
        (
            language_name(row.language),
            percent(share(row.planned, planned)),
            percent(share(row.tokens, tokens)),
            bar((share(row.tokens, tokens) or 0.0) / most, (share(row.planned, planned) or 0.0) / most),
            number(row.tokens),
            percent(share(row.repeated, row.tokens), 0) if row.repeated else "",
        )
        for row in sorted(rows, key=lambda row: (-row.planned, row.language))
    ]
    columns = [
        Column("language", "name"), Column("planned"), Column("actual"), Column("", "bar"), Column("tokens"),
        Column("seen before"),
    ]  # fmt: skip
    return join(
        [
            tag("h3", "Stage ", tag("bdi", name)),
            paragraph(
                f"{number(tokens)} tokens of {number(planned)} planned; {percent(share(repeated, tokens))} of them "
                "were used earlier in the schedule. The tick on a bar is the plan.",
                class_="note",
            ),
            long_table(columns, cells),
        ]
    )
