"""Recognition of rendered XQuAD paragraphs: character error rate, and F1 of answers beside those in the text layer.

    python -m benchmarks.ocr XQUAD_FOLDER [--paragraphs 2] [--languages ar de …] [--engine auto|rapidocr|tesseract]
                             [--json FILE]

Chromium prints each paragraph as a page of a PDF, in Noto fonts. The page is drawn at 300 dpi as it is, rotated by one
degree, and with noise; and at 150 dpi. Each drawing is recognised without a hint to its language. The built-in reader then
answers the paragraph's questions in the text layer and in each recognised text.

The character error rate is the edit distance to the paragraph over its length, white space reduced to single spaces; in
Thai and Chinese without any. `right`: answers with an F1 of at least a half. `score`: their mean calibrated score.
Needs Chromium, the Noto fonts (fonts-noto-core, fonts-noto-cjk), and an engine.
"""

from __future__ import annotations

import argparse
import html
import io
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from shutil import which
from statistics import mean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks import machine
from indexing.errors import UnreadableFile
from indexing.files.file_text import FileLimits
from indexing.files.pdf import read_pdf
from indexing.files.pdf_images import gray_page
from indexing.files.pictures import read_picture
from indexing.files.recognition import OcrPlan, Recogniser, plan_here
from indexing.models.registry import resolve
from qa_pipeline.answering.calibration import calibration_of
from qa_pipeline.answering.verdict import answer_text
from qa_pipeline.evaluation.metrics.mlqa import f1
from qa_pipeline.reading.load import load_reader

LANGUAGES = ("ar", "de", "el", "en", "es", "hi", "ro", "ru", "th", "tr", "vi", "zh")
UNSPACED = ("th", "zh")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PACKAGES = ("rapidocr", "pypdfium2", "onnxruntime")
LIMITS = FileLimits(seconds=600)
STYLE = (
    "@page { size: A4; margin: 25mm } p { break-after: page; font: 11pt/1.5 'Noto Serif', 'Noto Naskh Arabic',"
    " 'Noto Serif Devanagari', 'Noto Sans Devanagari', 'Noto Serif Thai', 'Noto Sans Thai', 'Noto Serif CJK SC',"
    " 'Noto Sans CJK SC' }"
)
Gray = NDArray[np.uint8]
Ask = Callable[[str, str], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph with its questions and their answers."""

    text: str
    questions: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Row:
    """Figures of one language in one condition. seconds: a page; scores and right: one value a question."""

    language: str
    condition: str
    engine: str
    errors: float
    f1: float
    confidence: float
    seconds: float
    questions: int
    scores: tuple[float, ...]
    right: tuple[bool, ...]


# -- inputs ------------------------------------------------------------------------------------------------------------


def paragraphs(folder: Path, language: str, count: int) -> list[Paragraph]:
    """The first paragraph of each of the first articles."""
    data = json.loads((folder / f"xquad.{language}.json").read_text("utf-8"))["data"]
    firsts = [article["paragraphs"][0] for article in data[:count]]
    return [
        Paragraph(p["context"], tuple((q["question"], tuple(a["text"] for a in q["answers"])) for q in p["qas"]))
        for p in firsts
    ]


def printed(found: Sequence[Paragraph], language: str, folder: Path) -> bytes:
    """A PDF with each paragraph on a page."""
    direction = "rtl" if language == "ar" else "ltr"
    body = "".join(f"<p>{html.escape(paragraph.text)}</p>" for paragraph in found)
    page = folder / "page.html"
    page.write_text(
        f'<html lang="{language}" dir="{direction}"><meta charset="utf-8"><style>{STYLE}</style>{body}', encoding="utf-8"
    )
    browser = next(filter(None, map(which, BROWSERS)))
    out = folder / "page.pdf"
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer", f"--print-to-pdf={out}"]
    subprocess.run([*command, page.as_uri()], check=True, capture_output=True, timeout=300)
    return out.read_bytes()


def drawings(pdf: bytes, number: int) -> Iterator[tuple[str, Gray, int]]:
    """(condition, picture, dpi) of a page."""
    sharp, dpi = gray_page(pdf, number, 300)
    yield "300 dpi", sharp, dpi
    yield "rotated 1°", np.asarray(Image.fromarray(sharp).rotate(1, Image.Resampling.BICUBIC, fillcolor=255)), dpi
    noise = np.random.default_rng(number).normal(0, 40, sharp.shape)
    yield "noise", np.clip(sharp + noise, 0, 255).astype(np.uint8), dpi
    coarse, dpi = gray_page(pdf, number, 150)
    yield "150 dpi", coarse, dpi


def as_png(picture: Gray, dpi: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG", dpi=(dpi, dpi), compress_level=1)
    return out.getvalue()


# -- figures -----------------------------------------------------------------------------------------------------------


def error_rate(found: str, wanted: str, language: str) -> float:
    """Edit distance (Levenshtein) over the length of the wanted text.

    >>> error_rate("The  bridqe", "The bridge", "en"), error_rate("水 車", "水車", "zh")
    (0.1, 0.0)
    """
    between = "" if language in UNSPACED else " "
    found, wanted = between.join(found.split()), between.join(wanted.split())
    row = np.arange(len(found) + 1)
    letters = np.array(list(found))
    for at, letter in enumerate(wanted, 1):
        changed = np.minimum(row[1:] + 1, row[:-1] + (letters != letter))
        steps = np.concatenate(([at], changed)) - np.arange(len(row))
        row = np.minimum.accumulate(steps) + np.arange(len(row))
    return float(row[-1] / max(1, len(wanted)))


def asked(text: str, paragraph: Paragraph, language: str, ask: Ask) -> list[tuple[float, float]]:
    """(F1, score) of the answer to each question in a text; 0 for no answer."""
    found = [(ask(question, text), gold) for question, gold in paragraph.questions]
    return [(f1(said["answer"], gold, language) if said["answer"] else 0.0, said["score"]) for said, gold in found]


def recognised(recogniser: Recogniser, picture: Gray, dpi: int) -> tuple[str, str, float, float]:
    """(text, engine, confidence, seconds) of a picture; no text with the reason as engine if it is not recognised."""
    data, began = as_png(picture, dpi), time.monotonic()
    try:
        (text,) = recogniser.texts(data, "png", read_picture(data, LIMITS))
    except UnreadableFile as error:
        return "", str(error), 0.0, time.monotonic() - began
    engine = text.notes[0].partition(" by ")[2].partition(",")[0]
    return text.text, engine, float(text.meta["recognition_confidence"]), time.monotonic() - began


def measure(folder: Path, language: str, count: int, recogniser: Recogniser, ask: Ask) -> Iterator[Row]:
    """The rows of a language: its text layer, and each condition."""
    found = paragraphs(folder, language, count)
    with tempfile.TemporaryDirectory() as place:
        pdf = printed(found, language, Path(place))
    (layer,) = read_pdf(pdf, LIMITS)
    stops = (*layer.pages[1:], len(layer.text) + 2)
    texts = [layer.text[start : stop - 2] for start, stop in zip(layer.pages, stops, strict=True)]
    yield row_of(language, "text layer", [(text, "", 1.0, 0.0) for text in texts], found, ask)
    drawn: dict[str, list[tuple[Gray, int]]] = {}
    for number in range(1, len(found) + 1):
        for condition, picture, dpi in drawings(pdf, number):
            drawn.setdefault(condition, []).append((picture, dpi))
    with ThreadPoolExecutor(recogniser.workers) as pool:
        read = {name: [pool.submit(recognised, recogniser, *one) for one in of] for name, of in drawn.items()}
        for condition, futures in read.items():
            yield row_of(language, condition, [future.result() for future in futures], found, ask)


def row_of(
    language: str, condition: str, read: Sequence[tuple[str, str, float, float]], found: Sequence[Paragraph], ask: Ask
) -> Row:
    errors = [error_rate(text, one.text, language) for (text, *_), one in zip(read, found, strict=True)]
    answers = [pair for (text, *_), one in zip(read, found, strict=True) for pair in asked(text or " ", one, language, ask)]
    return Row(
        language,
        condition,
        ", ".join(sorted({engine for _, engine, _, _ in read if engine})),
        mean(errors),
        mean(value for value, _ in answers),
        mean(confidence for _, _, confidence, _ in read),
        mean(seconds for *_, seconds in read),
        len(answers),
        tuple(round(score, 4) for _, score in answers),
        tuple(value >= 0.5 for value, _ in answers),
    )


def shown(row: Row) -> str:
    right = sum(row.right) / len(row.right)
    return (
        f"{row.language:<4}{row.condition:<12}{100 * row.errors:>7.1f}{100 * row.f1:>7.1f}{100 * right:>7.1f}"
        f"{100 * mean(row.scores):>7.1f}{100 * row.confidence:>7.0f}{row.seconds:>8.1f} s  {row.engine}"
    )


def plan_of(engine: str) -> OcrPlan:
    """The engines of this machine, or one of them only."""
    plan = plan_here(None)
    alone = {"rapidocr": {"tesseract": "", "data": ()}, "tesseract": {"rapid": ""}}.get(engine, {})
    return replace(plan, engines=replace(plan.engines, **alone))  # type: ignore[arg-type]


def main() -> None:
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    about.add_argument("xquad", type=Path)
    about.add_argument("--paragraphs", type=int, default=2)
    about.add_argument("--languages", nargs="+", default=LANGUAGES)
    about.add_argument("--engine", choices=("auto", "rapidocr", "tesseract"), default="auto")
    about.add_argument("--json", type=Path)
    options = about.parse_args()
    folder, plan = resolve("builtin", "reader"), plan_of(options.engine)
    reader, calibration = load_reader(folder), calibration_of(folder)
    print(machine.line(machine.facts(PACKAGES)))
    print(f"{'':<16}{'CER %':>7}{'F1':>7}{'right':>7}{'score':>7}{'conf.':>7}{'a page':>10}  engine")
    rows: list[Row] = []
    with Recogniser(plan, LIMITS) as recogniser:
        for language in options.languages:
            for row in measure(
                options.xquad,
                language,
                options.paragraphs,
                recogniser,
                lambda question, text: answer_text(reader, question, text, calibration),
            ):
                rows.append(row)
                print(shown(row), flush=True)
                if options.json:
                    options.json.write_text(json.dumps([asdict(one) for one in rows], ensure_ascii=False), encoding="utf-8")
    for condition in dict.fromkeys(row.condition for row in rows):
        of = [row for row in rows if row.condition == condition]
        right, scores = [one for row in of for one in row.right], [one for row in of for one in row.scores]
        print(
            f"all {condition:<12}{100 * mean(row.errors for row in of):>7.1f}{100 * mean(row.f1 for row in of):>7.1f}"
            f"{100 * sum(right) / len(right):>7.1f}{100 * mean(scores):>7.1f}  {len(right)} questions"
        )


if __name__ == "__main__":
    main()
