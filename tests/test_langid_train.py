"""`agora langid train`: the layout it reads, what it draws, and that the same data give the same file."""

from __future__ import annotations

import random
import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from pipelines.langid_train import train as command
from tests import small_languages
from tests.small_languages import SETTINGS, WORDS, lines, write
from transforms.classifiers import fasttext_file
from transforms.langid import bundle
from transforms.langid.bundle import Bundle
from transforms.langid.corpus import read_corpus
from transforms.langid.draw import Draw, classes_of, samples
from transforms.langid.train import train


def made(folder: Path, seed: int = 0) -> bytes:
    return bundle.write(train(read_corpus(str(folder), seed), SETTINGS, lambda line: None))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("langid") / "data")


@pytest.fixture(scope="module")
def model(data: Path) -> Bundle:
    return bundle.read(made(data), "the model")


# ------------------------------------------------------------------------------------- the layout


def test_what_is_read_does_not_depend_on_the_order_of_the_files(data: Path, tmp_path: Path) -> None:
    other = tmp_path / "data"
    for path in sorted(data.rglob("*"), reverse=True):
        if path.is_file():
            (other / path.relative_to(data)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, other / path.relative_to(data))
    assert read_corpus(str(other), 0) == read_corpus(str(data), 0)


def test_a_source_gives_as_many_sentences_as_its_cap_by_the_seed(data: Path) -> None:
    first, second = read_corpus(str(data), 0), read_corpus(str(data), 1)
    for corpus in (first, second):
        assert {len(part.lines) for part in corpus.parts if part.source.name == "chat"} == {50}
        assert {part.source.weight for part in corpus.parts if part.source.name == "news"} == {2}
    assert first != second


def test_lines_are_tidied_and_counted_once(tmp_path: Path) -> None:
    folder = write(tmp_path / "data")
    (folder / "news" / "eng_Latn.txt").write_text("  the\twater \r\n\nthe water\nbread\n", "utf-8-sig")
    (part,) = (p for p in read_corpus(str(folder), 0).of("eng_Latn") if p.source.name == "news")
    assert part.lines == ["the water", "bread"]


def test_a_tenth_is_held_out_in_blocks(data: Path) -> None:
    shown, held_out = read_corpus(str(data), 0).split()
    whole = {(part.source.name, part.label): part.lines for part in read_corpus(str(data), 0).parts}
    for part in held_out.parts:
        assert list(part.lines) == [
            line for number, line in enumerate(whole[part.source.name, part.label]) if number // 20 % 10 == 4
        ]
    assert sum(len(part.lines) for part in (*shown.parts, *held_out.parts)) == sum(map(len, whole.values()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: shutil.rmtree(folder), "has no sources.tsv; wanted"),
        (lambda folder: (folder / "sources.tsv").unlink(), "has no sources.tsv; wanted"),
        (lambda folder: (folder / "sources.tsv").write_text("source\tlicence\n"), "must begin with the columns"),
        (lambda folder: (folder / "sources.tsv").write_text(""), "must begin with the columns"),
        (lambda folder: _add_row(folder, "news\tMIT\tX\t5\t1"), "line 4.*once"),
        (lambda folder: _add_row(folder, "more\t\tX\t5\t1"), "line 4.*licence"),
        (lambda folder: _add_row(folder, "more\tMIT\tX\t0\t1"), "line 4: cap and weight must be whole and positive"),
        (lambda folder: _add_row(folder, "more\tMIT\tX\t5\t101"), "line 4: .* a weight at most 100; got 5, 101"),
        (lambda folder: _add_row(folder, "more\tMIT\tX\tnan\t1"), "line 4: cap and weight must be whole"),
        (lambda folder: _add_row(folder, f"more\tMIT\tX\t{'9' * 5000}\t1"), "line 4: cap and weight must be whole"),
        (lambda folder: _add_row(folder, "more\tMIT\tX\t1"), "line 4, has 4 values; wanted 5"),
        (lambda folder: _add_row(folder, "more\tMIT\tX\t5\t1"), "'more', and .* has no file more/<label>.txt"),
        (lambda folder: (folder / "notes.txt").write_text("x"), "notes.txt is not of the layout"),
        (lambda folder: (folder / "news" / "eng_Latn.csv").write_text("x"), "eng_Latn.csv is not of the layout"),
        (lambda folder: _add(folder, "old/eng_Latn.txt", b"x\n"), "not of the layout.*news, chat"),
        (lambda folder: _add(folder, "news/swh_Latm.txt", b"x\n"), "'swh_Latm' is no code .*nearest: swh_Latn"),
        (
            lambda folder: _add(folder, "news/swh-latn.txt", b"x\n"),
            "'swh-latn' is a name of Swahili.*: swh_Latn",
        ),
        (lambda folder: _add(folder, "news/a b.txt", b"x\n"), "'a b' is no code"),
        (lambda folder: _add(folder, "news/en.txt", b"x\n"), "'en' is a name of English, and no code.*: eng_Latn"),
        (lambda folder: _add(folder, "news/ekk_Latn.txt", b"x\n"), "'ekk_Latn' is a name of Estonian"),
        (lambda folder: _add(folder, "news/zh.txt", b"x\n"), "'zh' is a name of Chinese.*: zho_Hans, zho_Hant"),
        (lambda folder: _add(folder, "news/fra_Latn.txt", b" \n\n"), "fra_Latn.txt has no sentence"),
        (lambda folder: _add(folder, "news/fra_Latn.txt", b"\xff\n"), "fra_Latn.txt is not UTF-8"),
    ],
)
def test_another_layout_is_refused(change: object, message: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "data")
    change(folder)  # type: ignore[operator]
    with pytest.raises(ValueError, match=message):
        read_corpus(str(folder), 0)


def _add(folder: Path, name: str, data: bytes) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)


def _add_row(folder: Path, row: str) -> None:
    with (folder / "sources.tsv").open("a", encoding="utf-8") as file:
        file.write(f"{row}\n")


def test_a_language_in_another_script_is_one_that_is_not_listed(tmp_path: Path) -> None:
    folder = write(tmp_path / "data")
    _add(folder, "news/srp_Latn.txt", b"voda i hleb\n")
    assert "srp_Latn" in read_corpus(str(folder), 0).labels()


# ------------------------------------------------------------------------------------- the draw


def test_each_listed_language_is_drawn_as_often_and_the_order_is_of_the_seed(data: Path) -> None:
    corpus = read_corpus(str(data), 0)
    drawn = samples(corpus, Draw(samples=200, others=100), 0)
    counts = {label: sum(name == label for name, _ in drawn) for label in classes_of(corpus)}
    assert counts == {"eng_Latn": 200, "ind_Latn": 200, "zsm_Latn": 200, "bjn_Latn": 200, "other_latin": 100}
    assert drawn == samples(corpus, Draw(samples=200, others=100), 0)
    assert drawn != samples(corpus, Draw(samples=200, others=100), 1)
    changes = sum(one[0] != other[0] for one, other in pairwise(drawn))
    assert changes > len(drawn) / 2  # shuffled


def test_sentences_of_a_heavier_source_are_drawn_more_often(data: Path) -> None:
    corpus = read_corpus(str(data), 0)
    drawn = [text for name, text in samples(corpus, Draw(samples=530, cropped=0.0), 0) if name == "eng_Latn"]
    news, chat = (
        [line for part in corpus.of("eng_Latn") if part.source.name == name for line in part.lines]
        for name in ("news", "chat")
    )
    assert {drawn.count(line) for line in news} == {2}
    assert {drawn.count(line) for line in chat} == {1}


def test_pieces_begin_with_a_word_and_are_short() -> None:
    draw = Draw(shortest=10, longest=30)
    line = " ".join(lines("eng_Latn", 20))
    chance = random.Random(0)
    for _ in range(200):
        piece = draw.crop(line, chance)
        assert 4 <= len(piece) <= 30 + 12
        assert f" {line} ".find(f" {piece}") >= 0
    assert draw.crop("short", chance) == "short"
    unspaced = "请问这个面团应该发酵多久厨房很冷我们还没有买到温度计" * 4
    assert all(10 <= len(draw.crop(unspaced, chance)) <= 30 for _ in range(50))


# ------------------------------------------------------------------------------------- the model


def test_the_same_data_give_the_same_file(data: Path, model: Bundle) -> None:
    assert made(data) == bundle.write(model)
    assert made(data, seed=1) != bundle.write(model)


def test_sentences_are_told_those_of_near_languages_too(model: Bundle) -> None:
    loaded = model.model()
    for label in WORDS:
        told = [guess[0][0] for guess in loaded.predict(lines(label, 100, "unseen"))]
        wanted = label if label != "bre" else "other"
        assert told.count(wanted) >= 95, label


def test_the_card_says_what_the_model_is_made_of(model: Bundle) -> None:
    assert model.about["sources"] == [
        {"name": "news", "licence": "CC0-1.0", "attribution": "Nobody", "cap": 1000, "weight": 2},
        {"name": "chat", "licence": "MIT", "attribution": "Somebody", "cap": 50, "weight": 1},
    ]
    sentences = model.about["sentences"]
    assert isinstance(sentences, dict)
    assert sentences["eng_Latn"] == {"chat": 50, "news": 240}


def test_one_language_is_no_model(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", ["bre"])
    with pytest.raises(ValueError, match="needs two languages, one of them of the table; got bre"):
        train(read_corpus(str(folder), 0), SETTINGS, lambda line: None)


def test_the_command_writes_a_model_that_loads_and_overwrites_none(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.langid_train.TrainSettings", lambda seed: small_languages.SETTINGS)
    command(str(data), str(tmp_path / "model.lid"))
    written = (tmp_path / "model.lid").read_bytes()
    assert bundle.write(bundle.read(written, "x")) == written
    with pytest.raises(ValueError, match="is there already; name another --output, or give --replace"):
        command(str(data), str(tmp_path / "model.lid"))
    command(str(data), str(tmp_path / "model.lid"), replace=True)
    with pytest.raises(ValueError, match="--output is empty"):
        command(str(data), "")


def test_what_was_measured_is_told_or_why_nothing_was(data: Path, tmp_path: Path) -> None:
    said: list[str] = []
    assert train(read_corpus(str(data), 0), SETTINGS, said.append).calibration.lengths
    [told] = [line for line in said if line.startswith("macro F1 on the rest: ")]
    of_sentences, of_words = (float(part.split()[0]) for part in (told.split(": ")[1], told.split(", ")[-2]))
    assert of_words < of_sentences <= 1.0
    few = write(tmp_path / "few", number=50)
    said.clear()
    made = train(read_corpus(str(few), 0), SETTINGS, said.append)
    assert made.calibration.lengths == ()
    assert set(made.thresholds.values()) == {0.3}
    assert [line for line in said if "eng_Latn" in line and "neither measured nor calibrated" in line]


def test_sentences_that_hold_what_steers_fasttext_are_text(tmp_path: Path) -> None:
    made = fasttext_file.train([("eng", "the __label__spam </s> water"), ("fra", "l'eau")] * 20, minCount=1, dim=4)
    model = fasttext_file.read(made, "x")
    assert sorted(model.get_labels()) == ["__label__eng", "__label__fra"]
    assert {"the", "spam", "water"} <= set(model.get_words())


def test_a_place_for_no_file_is_refused_before_training(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for output, replace in ((tmp_path, True), (tmp_path / "file" / "model.lid", False)):
        with pytest.raises(OSError, match="folder"):
            command(str(tmp_path / "no data"), str(output), replace=replace)
