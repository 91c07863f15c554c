"""The commands of language identification: line i of the output is of line i of the input; figures are shown."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from pipelines import langid, lines
from pipelines.lines import Lines
from tests.conftest import ROOT
from tests.small_build import HOSTILE, Page, assert_harmless
from tests.test_langid import SENTENCES, train
from transforms.datasets.fates import Reason
from transforms.datasets.settings import SettingError

COMMAND = [sys.executable, "-m", "pipelines.langid"]
KEYS = ["language", "confidence", "runner_up", "runner_up_confidence", "reason"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(train(tmp_path_factory.mktemp("model"), {key: key for key in SENTENCES}))


def predicted(data: bytes, model: str, folder: Path, capsys: pytest.CaptureFixture[str], **how: Any) -> list[Any]:
    (folder / "lines.txt").write_bytes(data)
    langid.predict(str(folder / "lines.txt"), model, **how)
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


# ------------------------------------------------------------------------------------------------ predict


def test_each_line_of_text_gives_a_line_of_json(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = [SENTENCES["en"][0], "", SENTENCES["fr"][0], "12345", SENTENCES["la"][0], SENTENCES["zh"][1]]
    rows = predicted("\r\n".join(texts).encode(), model, tmp_path, capsys)
    assert [row["language"] for row in rows] == ["eng_Latn", None, "fra_Latn", None, None, "zho_Hans"]
    unsure, unlisted = Reason.LANGUAGE_UNSURE, Reason.LANGUAGE_UNLISTED
    assert [row["reason"] for row in rows] == [None, unsure, None, unsure, unlisted, None]
    assert all(list(row)[:5] == KEYS for row in rows)
    assert (
        rows[1]
        == rows[3]
        == dict(zip(KEYS, [None, 0, None, 0, unsure], strict=True))
        | {key: value for key, value in rows[1].items() if key not in KEYS}
    )
    assert all(row["confidence"] == round(row["confidence"], 4) <= 1 for row in rows)
    assert rows[5]["runner_up"] == "zho_Hant"


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_line_end_at_the_end_begins_no_line(
    end: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(predicted(f"a\nb{end}".encode(), model, tmp_path, capsys)) == 2
    assert len(predicted(end.encode(), model, tmp_path, capsys)) == len(end)


def test_texts_are_given_by_option_and_steer_no_terminal(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = 'é\x1b[2J\u202e\x9b "quoted" \x00'
    (tmp_path / "lines.txt").write_text(text, "utf-8")
    langid.predict(str(tmp_path / "lines.txt"), model, text=True)
    told = capsys.readouterr().out
    assert not set("\x1b\x9b\u202e\x00") & set(told)
    assert "é" in told
    assert json.loads(told)["text"] == text


def test_bytes_that_are_no_utf8_are_replaced_counted_and_told(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lines.txt").write_bytes(b"ok\n\xff bad\nok\nbad \xc3\n")
    langid.predict(str(tmp_path / "lines.txt"), model, text=True)
    told = capsys.readouterr()
    assert [json.loads(line)["text"] for line in told.out.splitlines()] == ["ok", "\ufffd bad", "ok", "bad \ufffd"]
    assert "2 lines of 4 with bytes that are no UTF-8" in told.err


def test_a_pipe_is_answered_before_its_end_and_may_be_closed(model: str) -> None:
    with subprocess.Popen(
        [*COMMAND, "predict", "--model", model], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": ""},
    ) as process:  # fmt: skip
        late = threading.Timer(60, process.kill)  # one that answers nobody
        late.start()
        assert process.stdin
        assert process.stdout
        assert process.stderr
        for key, code in (("en", "eng_Latn"), ("fr", "fra_Latn")):  # each is waited for
            process.stdin.write(f"{SENTENCES[key][0]}\n".encode())
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["language"] == code
        process.stdout.close()
        process.stdin.write(b"more\n" * 1000)
        process.stdin.close()
        assert b"rror" not in process.stderr.read()
        late.cancel()
    assert process.returncode == 0


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 1000])
def test_lines_are_the_same_however_they_come(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "_CHUNK_BYTES", chunk)
    monkeypatch.setattr(lines, "_MOST_BYTES", 6)
    data = "ab\n\n\u00e9\u00e9\u00e9\n12345\u00e9\r\nlonger than six\n\nlast\xe9".encode() + b"\xff"
    found = Lines(io.BytesIO(data))
    assert [text for batch in found.batches() for text in batch] == [
        "ab", "", "\u00e9\u00e9\u00e9", "12345", "longer", "", "last\u00e9",
    ]  # fmt: skip
    assert (found.number, found.damaged, found.cut) == (7, 0, 3)
    assert found.troubles() == ["3 lines of 7 with more than 6 bytes: read so far"]


def test_an_endless_line_takes_bounded_memory() -> None:
    class Endless(io.RawIOBase):
        left = 100

        def read1(self, most: int) -> bytes:
            self.left -= 1
            return b"x" * most if self.left else b""

    found = Lines(Endless())  # type: ignore[arg-type]
    tracemalloc.start()
    assert [len(text) for batch in found.batches() for text in batch] == [1 << 17]
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1 << 20  # of 6.5 MB
    assert found.cut == 1


# ----------------------------------------------------------------------------------------------- evaluate


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """Ten lines: three of two languages each, one of them wrong; Latin, and one that is no language at all."""
    folder = tmp_path / "texts"
    folder.mkdir()
    english, french, latin = (SENTENCES[key] for key in ("en", "fr", "la"))
    (folder / "eng_Latn.txt").write_text("\n".join([*english[:2], "", french[0]]), "utf-8")
    (folder / "fra_Latn.txt").write_text("\n".join(french) + "\n", "utf-8")
    (folder / "lat.txt").write_text("\n".join([*latin, english[0]]), "utf-8")
    return folder


def test_a_model_is_measured_on_a_folder(
    model: str, texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    langid.evaluate(str(texts), model, output=str(tmp_path / "figures.json"))
    (figures,) = json.loads((tmp_path / "figures.json").read_text())
    whole = figures["parts"]["whole texts"]
    assert (whole["texts"], whole["right"], whole["other_texts"], whole["other_told"]) == (6, 5, 3, 1)
    english, french = (whole["languages"][code] for code in ("eng_Latn", "fra_Latn"))
    assert (english["precision"], english["recall"], english["f1"]) == (1, pytest.approx(2 / 3), pytest.approx(0.8))
    assert (french["precision"], french["recall"], french["f1"]) == (0.75, 1, pytest.approx(6 / 7))
    assert whole["macro_f1"] == whole["macro_f1_without_arabic"] == pytest.approx((0.8 + 6 / 7) / 2)
    assert figures["confusions"] == [["eng_Latn", "fra_Latn", 1], ["lat", "eng_Latn", 1]]
    told = capsys.readouterr()
    assert "named by no code of the table: lat" in told.err
    for row in ("whole texts 6 0.829 0.829 83.3%", "eng_Latn 3 0.800 1.000 0.667", "French 33.3%", "lat 3 33.3%"):
        assert row in " ".join(told.out.split())


def test_the_page_shows_all_models_and_nothing_acts_in_it(
    model: str, texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (texts / "lat.txt").rename(texts / f"{HOSTILE.replace('/', '|').replace(chr(0), '')}.txt")
    other = tmp_path / "lid.other.bin"
    other.write_bytes(Path(model).read_bytes())
    langid.evaluate(str(texts), model, [str(other)], str(tmp_path / "page.html"))
    html = (tmp_path / "page.html").read_text("utf-8")
    assert_harmless(html)
    page = Page(html).text
    assert "Macro F1 0.829 over 2 languages and 6 texts, and 1 of 3 texts in other languages taken for" in page
    assert "English eng_Latn 3 0.800 1.000 0.667" in page
    assert "macro F1 of lid.other.bin" in page
    told = capsys.readouterr()
    assert not set("\u202e") & set(told.out + told.err)
    assert "F1 of lid.other.bin" in " ".join(told.out.split())


def test_models_of_one_file_name_are_told_apart_by_their_places() -> None:
    assert langid._names(["a/x.lid", "b/x.lid", "b/y.lid"]) == ["a/x.lid", "b/x.lid", "y.lid"]


def test_what_cannot_be_measured_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"must end with \.html or \.json, got x\.txt"):
        langid.evaluate(str(tmp_path), "no model", output="x.txt")
    with pytest.raises(ValueError, match=r"holds no CODE\.txt files"):
        langid.evaluate(str(tmp_path), "no model")
    (tmp_path / "eng.txt").write_text("words")
    with pytest.raises(ValueError, match="named by a code of the language table; for eng it may be one of eng_Latn"):
        langid.evaluate(str(tmp_path), "no model")
    (tmp_path / "eng_Latn.txt").write_text("words")
    with pytest.raises(ValueError, match=r"would be text in another language, .* English; name it eng_Latn\.txt"):
        langid.evaluate(str(tmp_path), "no model")
    (tmp_path / "eng.txt").unlink()
    with pytest.raises(ValueError, match="no language model at no model"):
        langid.evaluate(str(tmp_path), "no model")
    for output in (tmp_path / "is.html", tmp_path / "eng_Latn.txt" / "page.html"):
        (tmp_path / "is.html").mkdir(exist_ok=True)
        with pytest.raises(OSError, match="folder"):
            langid.evaluate(str(tmp_path), "no model", output=str(output))


@pytest.mark.parametrize("name", ["en", "zh", "ekk_Latn", "old/fra_Latn"])
def test_a_listed_language_by_another_name_is_not_measured_as_another(name: str, texts: Path) -> None:
    (texts / name).parent.mkdir(exist_ok=True)
    (texts / f"{name}.txt").write_text("words")
    with pytest.raises(ValueError, match="would be text in another language"):
        langid.evaluate(str(texts), "no model")


def test_a_language_without_texts_is_told(model: str, texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (texts / "deu_Latn.txt").write_text("\n")
    langid.evaluate(str(texts), model)
    assert "deu_Latn.txt: it has no text" in capsys.readouterr().err


def test_a_mark_of_utf8_at_the_start_is_no_text() -> None:
    marked = io.BytesIO("\ufeffone\n\ufefftwo".encode())
    assert [line for batch in Lines(marked).batches() for line in batch] == ["one", "\ufefftwo"]


def test_a_folder_of_empty_files_has_no_texts(model: str, tmp_path: Path) -> None:
    (tmp_path / "eng_Latn.txt").write_text("\n \n")
    with pytest.raises(ValueError, match="no texts to measure a model on"):
        langid.evaluate(str(tmp_path), model)
