"""How well models tell languages, as a page, as tables for a terminal, and as numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelines.report.html import Column, Sortable, Table, fill, number, percent, share, style
from tokenizer.languages import language_name
from transforms.langid.evaluate import FIRST, GROUPS, WHOLE, Measured, Scores

_MOST_CONFUSIONS = 200
_WORST = 15  # languages on a terminal
_PAGE_ONLY = {"language", *(f"F1, {name}" for name in FIRST)}  # columns

_ARABIC = GROUPS["Arabic"]


@dataclass(frozen=True)
class Judged:
    """A model by the name that people have for it, and how it did, by part of the texts."""

    name: str
    parts: Mapping[str, Measured]

    @property
    def best(self) -> Scores:
        """Its best guesses for whole texts, however unsure."""
        return self.parts[WHOLE].best

    @property
    def kept(self) -> Scores:
        """Those of its guesses for whole texts that are sure."""
        return self.parts[WHOLE].kept


def page(models: Sequence[Judged]) -> str:
    """One HTML page that needs no other file. models: the one that is measured, and those that stand beside it."""
    model = models[0]
    return fill(
        "identification.html",
        css=style(),
        model=model,
        beside=models[1:],
        macro_f1=model.best.macro_f1(),
        parts=_parts_table(models),
        languages=_languages_table(models),
        groups=_group_tables(model.best),
        confusions=_confusions_table(model.best),
        others=_others_table(model),
    )


def tables(models: Sequence[Judged]) -> list[tuple[str, Table]]:
    """Titles and tables for a terminal: the whole, the worst languages, the groups, other languages."""
    model = models[0]
    worst = _worst(_languages_table(models))
    named = [("", _parts_table(models)), (f"The {_WORST} languages with the lowest F1", worst)]
    named += [(f"{title}: texts in (rows), told to be (columns)", table) for title, table in _group_tables(model.best)]
    others = _others_table(model)
    return [*named, ("Texts in other languages", Table(others.columns, others.rows[:_WORST]))]


def _worst(languages: Table) -> Table:
    """The first rows, and of them as many columns as fit."""
    places = [place for place, column in enumerate(languages.columns) if column.title not in _PAGE_ONLY]
    rows = [[row[place] for place in places] for row in languages.rows[:_WORST]]
    return Table([languages.columns[place] for place in places], rows)


def numbers(models: Sequence[Judged]) -> list[dict[str, object]]:
    """All figures of each model, for other programs."""
    return [
        {
            "model": model.name,
            "parts": {name: _part_numbers(measured) for name, measured in model.parts.items()},
            "confusions": model.best.confusions(model.best.labels),
        }
        for model in models
    ]


def _part_numbers(measured: Measured) -> dict[str, object]:
    best, kept = measured.best, measured.kept
    return {
        "macro_f1": best.macro_f1(),
        "macro_f1_without_arabic": best.macro_f1(_ARABIC),
        "texts": best.whole.texts,
        "right": best.whole.right,
        "sure": kept.whole.told,
        "sure_and_right": kept.whole.right,
        "other_texts": best.false_positives.texts,
        "other_told": best.false_positives.told,
        "other_sure": kept.false_positives.told,
        "languages": {
            code: {
                "texts": best.of(code).texts,
                "f1": best.of(code).f1,
                "precision": best.of(code).precision,
                "recall": best.of(code).recall,
                "sure": kept.sure(code),
                "precision_of_sure": kept.of(code).precision,
                "recall_of_sure": kept.of(code).recall,
            }
            for code in best.languages
        },
    }


def _parts_table(models: Sequence[Judged]) -> Table:
    """A row a part of the texts."""
    columns = [
        Column("measured on", "name"), Column("texts"), Column("macro F1"), Column("without Arabic"), Column("right"),
        Column("sure"), Column("right of the sure"), *(Column(f"macro F1 of {model.name}") for model in models[1:]),
    ]  # fmt: skip
    rows = []
    for name, measured in models[0].parts.items():
        best, kept = measured.best, measured.kept
        rows.append(
            (
                name,
                number(best.whole.texts),
                number(best.macro_f1(), 3),
                number(best.macro_f1(_ARABIC), 3),
                percent(best.whole.recall),
                percent(share(kept.whole.told, kept.whole.texts)),
                percent(kept.whole.precision),
                *(number(other.parts[name].best.macro_f1(), 3) for other in models[1:]),
            )
        )
    return Table(columns, rows)


def _languages_table(models: Sequence[Judged]) -> Sortable:
    """A row a language, the one with the lowest F1 first."""
    model = models[0]
    best, kept = model.best, model.kept
    codes = sorted(best.languages, key=lambda code: (best.of(code).f1, code))
    columns: list[tuple[Column, list[str] | list[int] | list[float] | list[float | None]]] = [
        (Column("language", "name"), [language_name(code) for code in codes]),
        (Column("code", "code"), codes),
        (Column("texts"), [best.of(code).texts for code in codes]),
        (Column("F1"), [best.of(code).f1 for code in codes]),
        (Column("precision"), [best.of(code).precision for code in codes]),
        (Column("recall"), [best.of(code).recall for code in codes]),
        (Column("sure"), [kept.sure(code) for code in codes]),
        (Column("right of the sure"), [kept.of(code).precision for code in codes]),
        *((Column(f"F1, {name}"), [model.parts[name].best.of(code).f1 for code in codes]) for name in FIRST),
        *((Column(f"F1 of {other.name}"), [other.best.of(code).f1 for code in codes]) for other in models[1:]),
        (Column("most told instead", "text"), [_instead(best, code) for code in codes]),
    ]
    rows = list(zip(*([_cell(key) for key in keys] for _, keys in columns), strict=True))
    keys = {place: keys for place, (_, keys) in enumerate(columns)}
    return Sortable([column for column, _ in columns], rows, "languages", keys, by=3, turned=True)


def _cell(key: str | float | None) -> str:
    return key if isinstance(key, str) else number(key, 0 if isinstance(key, int) else 3)


def _instead(scores: Scores, label: str) -> str:
    """The language that is told most often of texts that are in another, and of which share of them."""
    wrong = scores.confusions([label])
    if not wrong:
        return ""
    _, told, texts = wrong[0]
    return f"{language_name(told)} {percent(share(texts, scores.texts(label)))}"


def _group_tables(scores: Scores) -> list[tuple[str, Table]]:
    """Of each group with texts a row a language, a column what is told of its texts."""
    found = []
    for name, group in GROUPS.items():
        labels = [code for code in group if code in scores.languages]
        columns = [
            Column("texts in", "code"), *(Column(_short(code, group), "number") for code in group), Column("another"),
            Column("none"),
        ]  # fmt: skip
        rows = []
        for label in labels:
            told = [scores.told(label, code) for code in group]
            none = scores.told(label, None)
            rows.append((label, *map(number, told), number(scores.texts(label) - sum(told) - none), number(none)))
        if rows:
            found.append((name, Table(columns, rows)))
    return found


def _short(code: str, group: Sequence[str]) -> str:
    """A code without its script where no other of the group differs by that alone."""
    name = code.partition("_")[0]
    return code if sum(other.startswith(f"{name}_") for other in group) > 1 else name


def _confusions_table(scores: Scores) -> Table:
    columns = [Column("texts in", "name"), Column("told to be", "name"), Column("texts"), Column("of those in it")]
    rows = [
        (language_name(label), language_name(told), number(texts), percent(share(texts, scores.texts(label))))
        for label, told, texts in scores.confusions(scores.languages)[:_MOST_CONFUSIONS]
    ]
    return Table(columns, rows)


def _others_table(model: Judged) -> Table:
    """A row a label that is no language of the table, first those of which the largest share is surely told to be."""
    best, kept = model.best, model.kept
    columns = [
        Column("texts in", "name"), Column("texts"), Column("told to be in a listed language"), Column("surely"),
        Column("most told", "text"),
    ]  # fmt: skip
    labels = sorted(best.others, key=lambda label: (-(kept.sure(label) or 0), label))
    rows = [
        (label, number(best.texts(label)), percent(best.sure(label)), percent(kept.sure(label)), _instead(best, label))
        for label in labels
    ]
    return Table(columns, rows)
