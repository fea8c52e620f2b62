"""Plots of runs as PNG and SVG. matplotlib is imported lazily."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from indexing.errors import SettingError
from qa_pipeline.evaluation.metrics.bootstrap import Figure
from qa_pipeline.evaluation.metrics.calibration import Bin

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

FIRST, SECOND, GREY = "#2b6cb0", "#dd8452", "#666666"
KINDS = ("png", "svg")


class ScoredRow(Protocol):
    """A table row with exact match and F1."""

    @property
    def name(self) -> str: ...
    @property
    def exact(self) -> Figure: ...
    @property
    def f1(self) -> Figure: ...


def picture(width: float, height: float) -> tuple[Picture, Any]:
    """An empty figure with one set of axes; width and height in inches. Raises SettingError without matplotlib."""
    try:
        from matplotlib.figure import Figure as Picture
    except ImportError:
        raise SettingError("Plots need matplotlib; `pip install 'docqa[evaluation]'` brings it.") from None
    drawn = Picture(figsize=(width, height), layout="constrained")
    axes = drawn.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return drawn, axes


def files(name: str, drawn: Picture) -> Iterator[tuple[str, bytes]]:
    """The figure as name.png and name.svg, byte for byte reproducible."""
    from matplotlib import rc_context

    for kind in KINDS:
        data = io.BytesIO()
        with rc_context({"svg.hashsalt": "docqa"}):
            drawn.savefig(data, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else {})
        yield f"{name}.{kind}", data.getvalue()


def by_language(rows: Sequence[ScoredRow], scorer: str, title: str) -> Picture:
    """Bar chart of exact match and F1 by language, with intervals."""
    drawn, axes = picture(max(5.0, 1.6 + 0.62 * len(rows)), 3.8)
    for shift, colour, label, values in (
        (-0.2, FIRST, "exact match", [row.exact for row in rows]),
        (0.2, SECOND, "F1", [row.f1 for row in rows]),
    ):
        _bars(axes, [n + shift for n in range(len(rows))], values, colour, label)
    axes.set_xticks(range(len(rows)), [row.name for row in rows], rotation=45 if _long(rows) else 0)
    axes.set_ylim(0, min(100.0, 10 + max(row.f1.high for row in rows)))
    axes.set_ylabel(f"% ({scorer})")
    axes.set_title(title, fontsize=10, loc="left")
    drawn.legend(frameon=False, ncols=2, loc="outside lower center", fontsize=8)
    return drawn


def precision_recall(points: Sequence[tuple[str, Sequence[tuple[float, float]]]], title: str) -> Picture:
    """Labelled curves of (precision, recall)."""
    drawn, axes = picture(4.8, 4.2)
    for (label, curve), colour in zip(points, (FIRST, SECOND, GREY), strict=False):
        axes.step([100 * r for _, r in curve], [100 * p for p, _ in curve], where="post", color=colour, label=label)
    axes.set(xlim=(0, 100), ylim=(0, 103), xlabel="recall, % of the questions with an answer", ylabel="precision, %")
    axes.set_title(title, fontsize=10, loc="left")
    axes.legend(frameon=False, fontsize=8)
    return drawn


def heat_map(names: Sequence[str], values: Sequence[Sequence[float | None]], title: str) -> Picture:
    """Heat map of percentages: a row per question language, a column per document language; None is blank."""
    drawn, axes = picture(1.8 + 0.5 * len(names), 1.6 + 0.42 * len(names))
    cells = [[float("nan") if value is None else value for value in row] for row in values]
    axes.imshow(cells, cmap="viridis", vmin=0, vmax=100, aspect="auto")
    for y, row in enumerate(values):
        for x, value in enumerate(row):
            if value is not None:
                colour = "white" if value < 60 else "black"
                axes.text(x, y, f"{value:.0f}", ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="language of the documents", ylabel="language of the question")
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=10, loc="left")
    return drawn


def lines(names: Sequence[str], series: Sequence[tuple[str, Sequence[float]]], label: str, title: str) -> Picture:
    """One marker per name and series, in percent."""
    drawn, axes = picture(max(4.5, 1.6 + 0.5 * len(names)), 3.6)
    for (name, values), colour, mark in zip(series, (FIRST, SECOND, GREY), "os^", strict=False):
        axes.plot(range(len(names)), values, marker=mark, linestyle="", color=colour, label=name)
    axes.set_xticks(range(len(names)), names)
    axes.set_ylim(0, 102)
    axes.set_ylabel(label)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_title(title, fontsize=10, loc="left")
    drawn.legend(frameon=False, ncols=3, loc="outside lower center", fontsize=8)
    return drawn


def reliability(series: Sequence[tuple[str, Sequence[Bin]]], title: str) -> Picture:
    """Reliability diagram: observed share right against predicted probability; perfect calibration is the diagonal."""
    drawn, axes = picture(4.8, 4.4)
    axes.plot([0, 100], [0, 100], color="#bbbbbb", linewidth=1)
    for (name, found), colour, mark in zip(series, (GREY, SECOND, FIRST), "^so", strict=False):
        sizes = [12 + 120 * b.count / max(c.count for c in found) for b in found]
        axes.plot([100 * b.said for b in found], [100 * b.was for b in found], color=colour, linewidth=1)
        axes.scatter(
            [100 * b.said for b in found], [100 * b.was for b in found], s=sizes, color=colour, marker=mark, label=name
        )
    axes.set(xlim=(-2, 102), ylim=(-2, 102), xlabel="predicted probability, %", ylabel="was right, %")
    axes.set_title(title, fontsize=10, loc="left")
    drawn.legend(frameon=False, ncols=3, loc="outside lower center", fontsize=8, markerscale=0.6)
    return drawn


def _bars(axes: Any, places: Sequence[float], values: Sequence[Figure], colour: str, label: str) -> None:
    heights = [value.value for value in values]
    off = [[value.value - value.low for value in values], [value.high - value.value for value in values]]
    axes.bar(places, heights, width=0.38, color=colour, label=label)
    axes.errorbar(places, heights, yerr=off, fmt="none", ecolor="#222222", elinewidth=0.9, capsize=2)


def _long(rows: Sequence[Any]) -> bool:
    return any(len(row.name) > 4 for row in rows)
