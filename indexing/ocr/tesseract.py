"""Tesseract as a subprocess: script and orientation of a picture, and its words.

The picture goes in through standard input as PGM, the words come back as TSV. A process is bounded by the memory limit
that it inherits, by seconds of CPU time, and by a time limit. It ends with the process that started it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from indexing.child_process import bounded
from indexing.ocr.languages import script_named
from indexing.ocr.words import Line, SeenWord

Picture = NDArray[np.uint8]
SURE_OF_TURN = 2.0
"""Tesseract's orientation confidence from which a picture is turned; upright text of a few lines can get up to 1."""
_START_S = 20.0
_WORD = "5"


class TesseractFailed(Exception):
    """Tesseract ended with an error, whose first line is the message."""


@cache
def tesseract_facts() -> tuple[str, tuple[str, ...]]:
    """The version of the tesseract on the path, and the names of its language data; ("", ()) without one."""
    if shutil.which("tesseract") is None:
        return "", ()
    try:
        version = _run(["--version"], b"", _START_S).splitlines()[0].strip()
        names = _run(["--list-langs"], b"", _START_S).splitlines()[1:]
    except (TesseractFailed, OSError, subprocess.TimeoutExpired, IndexError):
        return "", ()
    return version, tuple(sorted(name.strip() for name in names if name.strip()))


def orientation(picture: Picture, seconds: float) -> tuple[int, str]:
    """(quarter turns counterclockwise that make a picture upright, its script or ""), by tesseract's `osd` data.

    picture: gray values [height, width]. (0, "") where there is too little text. Raises subprocess.TimeoutExpired.
    """
    try:
        lines = _run(["stdin", "stdout", "--psm", "0", "-l", "osd"], pgm(picture), seconds).splitlines()
        facts = dict(line.split(": ", 1) for line in lines if ": " in line)
        sure = float(facts["Orientation confidence"]) >= SURE_OF_TURN
        return (-int(facts["Rotate"]) // 90 % 4 if sure else 0), script_named(facts["Script"].strip())
    except (TesseractFailed, KeyError, ValueError):
        return 0, ""


def tesseract_lines(picture: Picture, data: Sequence[str], dpi: int, seconds: float) -> list[Line]:
    """The lines of a picture, in tesseract's reading order. data: names of language data.

    Raises TesseractFailed, and subprocess.TimeoutExpired after `seconds`.
    """
    arguments = ["stdin", "stdout", "-l", "+".join(data), "--dpi", str(dpi), "tsv"]
    return lines_of_tsv(_run(arguments, pgm(picture), seconds))


def lines_of_tsv(table: str) -> list[Line]:
    """The lines of words of tesseract's TSV output.

    >>> head = "level page_num block_num par_num line_num word_num left top width height conf text".replace(" ", "\\t")
    >>> row = "5 1 1 1 1 1 10 20 30 40 96.5 Bridge".replace(" ", "\\t")
    >>> lines_of_tsv(head + "\\n" + row)
    [(SeenWord(text='Bridge', box=(10.0, 20.0, 40.0, 60.0), confidence=0.965, glued=False),)]
    """
    return [tuple(word for _, word in group) for _, group in groupby(_words(table), key=lambda pair: pair[0])]


def _words(table: str) -> Iterator[tuple[tuple[str, ...], SeenWord]]:
    """Each word with the numbers of its block, paragraph and line."""
    for row in table.split("\n"):
        fields = row.rstrip("\r").split("\t", 11)
        if len(fields) < 12 or fields[0] != _WORD or not fields[11].strip():
            continue
        left, top, width, height, confidence = map(float, fields[6:11])
        box = (left, top, left + width, top + height)
        yield tuple(fields[2:5]), SeenWord(fields[11].strip(), box, min(1.0, max(0.0, confidence / 100)))


def pgm(picture: Picture) -> bytes:
    """A gray picture as PGM (Netpbm's binary format).

    >>> pgm(np.zeros((1, 2), np.uint8))
    b'P5 2 1 255\\n\\x00\\x00'
    """
    height, width = picture.shape
    return b"P5 %d %d 255\n" % (width, height) + np.ascontiguousarray(picture).tobytes()


def _run(arguments: Sequence[str], data: bytes, seconds: float) -> str:
    """Standard output of tesseract. Raises TesseractFailed and subprocess.TimeoutExpired.

    Where there is a picture, this runs in the process that recognises, which has one thread.
    """
    done = subprocess.run(
        ["tesseract", *arguments],
        input=data,
        capture_output=True,
        timeout=seconds,
        env={**os.environ, "OMP_THREAD_LIMIT": "1"},
        preexec_fn=bounded(seconds) if data else None,
    )
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise TesseractFailed(said[0] if said else f"exit {done.returncode}")
    return done.stdout.decode("utf-8", "replace")
