"""Tables as pictures, PNG and SVG. Drawn by matplotlib, which is loaded when the first one is drawn."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from indexing.errors import SettingError
from qa_pipeline.evaluation.bootstrap import Figure
from qa_pipeline.evaluation.summary import Summary

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

FIRST, SECOND, GREY = "#2b6cb0", "#dd8452", "#666666"
KINDS = ("png", "svg")


def picture(width: float, height: float) -> tuple[Picture, Any]:
    """An empty picture with one set of axes, inches. Raises SettingError where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure as Picture
    except ImportError:
        raise SettingError("Plots need matplotlib; `pip install 'docqa[evaluation]'` brings it.") from None
    drawn = Picture(figsize=(width, height), layout="constrained")
    axes = drawn.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return drawn, axes


def files(name: str, drawn: Picture) -> Iterator[tuple[str, bytes]]:
    """The picture as name.png and name.svg; the same picture is the same bytes."""
    from matplotlib import rc_context

    for kind in KINDS:
        data = io.BytesIO()
        with rc_context({"svg.hashsalt": "docqa"}):
            drawn.savefig(data, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else {})
        yield f"{name}.{kind}", data.getvalue()


def by_language(summary: Summary, title: str) -> Picture:
    """Exact match and F1 of each language side by side, with their intervals."""
    rows = [*summary.rows, summary.mean]
    drawn, axes = picture(max(5.0, 1.6 + 0.62 * len(rows)), 3.8)
    for shift, colour, label, values in (
        (-0.2, FIRST, "exact match", [row.exact for row in rows]),
        (0.2, SECOND, "F1", [row.f1 for row in rows]),
    ):
        _bars(axes, [n + shift for n in range(len(rows))], values, colour, label)
    axes.set_xticks(range(len(rows)), [row.name for row in rows], rotation=45 if _long(rows) else 0)
    axes.set_ylim(0, min(100.0, 10 + max(row.f1.high for row in rows)))
    axes.set_ylabel(f"% ({summary.scorer.name})")
    axes.set_title(title, fontsize=10, loc="left")
    axes.legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 1), fontsize=8)
    return drawn


def precision_recall(points: Sequence[tuple[str, Sequence[tuple[float, float]]]], title: str) -> Picture:
    """Curves of (precision, recall), each with its label."""
    drawn, axes = picture(4.8, 4.2)
    for (label, curve), colour in zip(points, (FIRST, SECOND, GREY), strict=False):
        axes.step([100 * r for _, r in curve], [100 * p for p, _ in curve], where="post", color=colour, label=label)
    axes.set(xlim=(0, 100), ylim=(0, 103), xlabel="recall, % of the questions with an answer", ylabel="precision, %")
    axes.set_title(title, fontsize=10, loc="left")
    axes.legend(frameon=False, fontsize=8)
    return drawn


def _bars(axes: Any, places: Sequence[float], values: Sequence[Figure], colour: str, label: str) -> None:
    heights = [value.value for value in values]
    off = [[value.value - value.low for value in values], [value.high - value.value for value in values]]
    axes.bar(places, heights, width=0.38, color=colour, label=label)
    axes.errorbar(places, heights, yerr=off, fmt="none", ecolor="#222222", elinewidth=0.9, capsize=2)


def _long(rows: Sequence[Any]) -> bool:
    return any(len(row.name) > 4 for row in rows)
