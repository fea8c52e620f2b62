"""RapidOCR (PP-OCRv6 in ONNX Runtime): words of Chinese, Japanese and Latin text.

Its wheel holds the three models that are used. They are named by their files, so that nothing is ever downloaded.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from indexing.ocr.tesseract import Picture
from indexing.ocr.words import Line, SeenWord

MODELS = {
    "Det": "PP-OCRv6_det_small.onnx",
    "Rec": "PP-OCRv6_rec_small.onnx",
    "Cls": "ch_ppocr_mobile_v2.0_cls_mobile.onnx",
}
LONGEST = 2_000
"""Pixels of a picture's longer side at most; larger ones are reduced. A page of 3,508 took 2.4 GB of memory."""


@cache
def rapid_version() -> str:
    """The version of RapidOCR if it is installed with its models, else ""."""
    spec = importlib.util.find_spec("rapidocr")
    if spec is None or spec.origin is None or not all(path.is_file() for path in _models(Path(spec.origin).parent).values()):
        return ""
    try:
        return importlib.metadata.version("rapidocr")
    except importlib.metadata.PackageNotFoundError:
        return ""


def _models(package: Path) -> dict[str, Path]:
    return {part: package / "models" / name for part, name in MODELS.items()}


@cache
def _engine() -> Any:
    """The engine with its models, on one thread."""
    import rapidocr

    models = _models(Path(rapidocr.__file__).parent)
    return rapidocr.RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.max_side_len": LONGEST,
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            **{f"{part}.model_path": str(path) for part, path in models.items()},
        }
    )


def rapid_lines(picture: Picture) -> list[Line]:
    """The lines of a picture, gray values [height, width], in reading order; columns follow each other."""
    found = _engine()(np.stack([picture] * 3, axis=-1), return_word_box=True)
    if found.txts is None:
        return []
    lines = [line_of(str(text), words) for text, words in zip(found.txts, found.word_results, strict=False)]
    return in_columns([line for line in lines if line])


def line_of(text: str, words: Sequence[Any]) -> Line:
    """A line of words (text, score, corners), with spaces where the line's text has them.

    >>> corners = [[0, 0], [9, 0], [9, 9], [0, 9]]
    >>> [(word.text, word.glued) for word in line_of("in 19 yrs", [("in", 0.9, corners), ("1", 0.9, corners),
    ...     ("9", 0.9, corners), ("yrs", 0.9, corners)])]
    [('in', False), ('1', False), ('9', True), ('yrs', False)]
    """
    made: list[SeenWord] = []
    at = 0
    for part, score, corners in words:
        part = str(part).strip()
        if corners is None or not part:
            continue
        found = text.find(part, at)
        glued = bool(made) and found == at
        at = found + len(part) if found >= 0 else at
        made.append(SeenWord(part, _box(corners), min(1.0, max(0.0, float(score))), glued))
    return tuple(made)


def _box(corners: Any) -> tuple[float, float, float, float]:
    xs, ys = [float(x) for x, _ in corners], [float(y) for _, y in corners]
    return min(xs), min(ys), max(xs), max(ys)


# -- reading order -----------------------------------------------------------------------------------------------------


def in_columns(lines: Sequence[Line]) -> list[Line]:
    """Lines from top to bottom, but the columns of each part of a page that has columns one after the other.

    A part has two columns where at least four lines stand on each side of a white gutter as wide as a line is high.
    """
    ordered = sorted(lines, key=lambda line: (_edges(line)[1], _edges(line)[0]))
    return list(_parts(ordered))


_FEWEST = 4


def _parts(lines: Sequence[Line]) -> Iterator[Line]:
    """The lines of a part, cut at the gutter that most of its lines leave free; lines across it cut the part above it."""
    gutter = _gutter(lines)
    if gutter is None:
        yield from lines
        return
    side: list[Line] = []
    for line in [*lines, ()]:
        if line and not _edges(line)[0] < gutter < _edges(line)[2]:
            side.append(line)
            continue
        left = [one for one in side if _edges(one)[2] <= gutter]
        right = [one for one in side if _edges(one)[0] >= gutter]
        if min(len(left), len(right)) < _FEWEST:
            yield from side
        else:
            yield from _parts(left)
            yield from _parts(right)
        side = []
        if line:
            yield line


def _gutter(lines: Sequence[Line]) -> float | None:
    """The middle of a white gutter with lines of prose on both sides, None if there is none."""
    edges = [_edges(line) for line in lines]
    if len(edges) < 2 * _FEWEST:
        return None
    height = float(np.median([bottom - top for _, top, _, bottom in edges]))
    first, last = min(edge[0] for edge in edges), max(edge[2] for edge in edges)
    narrow = [edge for edge in edges if edge[2] - edge[0] < 0.6 * (last - first)]
    reached = first
    for left, _, right, _ in sorted(narrow):
        if left - reached >= height and _has_prose(narrow, (reached + left) / 2, height):
            return (reached + left) / 2
        reached = max(reached, right)
    return None


def _has_prose(edges: Sequence[tuple[float, float, float, float]], gutter: float, height: float) -> bool:
    """Whether on both sides of a gutter at least four lines are long: ten times as long as high, as cells are not."""
    left = [edge for edge in edges if edge[2] <= gutter]
    right = [edge for edge in edges if edge[0] >= gutter]
    return all(sum(edge[2] - edge[0] > 10 * height for edge in side) >= _FEWEST for side in (left, right))


def _edges(line: Line) -> tuple[float, float, float, float]:
    return (
        min(word.box[0] for word in line),
        min(word.box[1] for word in line),
        max(word.box[2] for word in line),
        max(word.box[3] for word in line),
    )
