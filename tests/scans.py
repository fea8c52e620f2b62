"""Pictures that tests draw, and a stand-in for tesseract: a program that reads what a test says stands on them."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from indexing.files.file_text import FileLimits
from indexing.ocr.tesseract import tesseract_facts

DATA = ("eng", "ara", "deu", "osd", "rus")
STEP = 10
LIMITS = FileLimits(seconds=30)
PAGE = "The tower of page {} was built in 1731 by a miller of Marrow."
"""What the stand-in reads at first, with the number of the picture."""
_PROGRAM = """#!{python}
import json, os, sys, time
arguments = sys.argv[1:]
with open({log!r}, "a") as log:
    log.write(" ".join(arguments) + "\\n")
with open({said!r}) as file:
    said = json.load(file)
if arguments == ["--version"]:
    print("tesseract 5.0-test")
elif arguments == ["--list-langs"]:
    print("\\n".join(["List of available languages:", *said["data"]]))
else:
    data = sys.stdin.buffer.read()
    head, pixels = data.split(b"\\n", 1)
    width, height = map(int, head.split()[1:3])
    page = round(pixels[20 * width + 20] / {step})
    time.sleep(said["seconds"])
    if page in said["crashes"]:
        os.kill(os.getppid(), 9)
    if "--psm" in arguments:
        if not said["script"]:
            sys.exit("Too few characters. Skipping this page")
        print("Rotate: %d\\nOrientation confidence: 9.5\\nScript: %s" % (said["rotate"], said["script"]))
        sys.exit()
    lines = said["texts"].get(arguments[3], [])
    for number, line in enumerate(lines):
        left = 100
        for at, word in enumerate(line.replace("@", str(page)).split(), 1):
            sure = said["confidences"].get(arguments[3], said["confidence"])
            row = [5, 1, 1, 1, number + 1, at, left, 200 + 60 * number, 20 * len(word), 40, sure, word]
            print("\\t".join(map(str, row)))
            left += 20 * len(word) + 15
"""


class FakeTesseract:
    """The stand-in: `say` sets what it reads, `calls` are the arguments of its runs, without those about itself."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self._log, self._said = folder / "log", folder / "said.json"
        program = folder / "tesseract"
        program.write_text(
            _PROGRAM.format(python=sys.executable, log=str(self._log), said=str(self._said), step=STEP), encoding="utf-8"
        )
        program.chmod(0o755)
        self.say({"eng": ["The tower of page @ was built in 1731", "by a miller of Marrow."]})

    def say(
        self,
        texts: Mapping[str, Sequence[str]],
        *,
        script: str = "Latin",
        rotate: int = 0,
        confidence: float = 95.5,
        confidences: Mapping[str, float] | None = None,
        data: Sequence[str] = DATA,
        seconds: float = 0,
        crashes: Sequence[int] = (),
    ) -> None:
        """texts: the lines on every picture by language data; "@" stands for the number of the picture.

        confidences: in percent, by language data; others have `confidence`.
        """
        said = {
            "texts": dict(texts),
            "script": script,
            "rotate": rotate,
            "confidence": confidence,
            "confidences": dict(confidences or {}),
            "data": list(data),
            "seconds": seconds,
            "crashes": list(crashes),
        }
        self._said.write_text(json.dumps(said), encoding="utf-8")

    @property
    def calls(self) -> list[str]:
        lines = self._log.read_text("utf-8").splitlines() if self._log.exists() else []
        return [line for line in lines if line not in ("--version", "--list-langs")]

    def reads(self) -> list[str]:
        """The language data of each reading, without looks at orientation and script."""
        return [call.split()[3] for call in self.calls if "--psm" not in call]


@contextmanager
def installed(folder: Path) -> Iterator[FakeTesseract]:
    """The stand-in as the only engine of this machine."""
    with pytest.MonkeyPatch.context() as patch:
        fake = FakeTesseract(folder)
        patch.setenv("PATH", str(fake.folder) + os.pathsep + os.environ["PATH"])
        with _only_tesseract(patch):
            yield fake


@contextmanager
def no_engine(folder: Path) -> Iterator[None]:
    """A machine without any engine."""
    with pytest.MonkeyPatch.context() as patch:
        folder.mkdir()
        patch.setenv("PATH", str(folder))
        with _only_tesseract(patch):
            yield


@contextmanager
def _only_tesseract(patch: pytest.MonkeyPatch) -> Iterator[None]:
    patch.setattr("indexing.ocr.engines.rapid_version", lambda: "")
    tesseract_facts.cache_clear()
    try:
        yield
    finally:
        tesseract_facts.cache_clear()


def drawing(number: int = 1, size: tuple[int, int] = (1240, 1754)) -> Image.Image:
    """A picture that is not blank, with its number as the gray value of a corner."""
    image = Image.new("L", size, 255)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 40, 40), fill=STEP * number)
    draw.rectangle((100, 200, 600, 240), fill=0)
    return image


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", dpi=(150, 150))
    return out.getvalue()


def scanned_pdf(*images: Image.Image) -> bytes:
    """A PDF whose pages are pictures, without a text layer."""
    out = io.BytesIO()
    images[0].save(out, "PDF", resolution=150, save_all=True, append_images=list(images[1:]))
    return out.getvalue()
