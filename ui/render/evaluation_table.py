"""Tables of evaluation runs: columns, sorting, HTML and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ui.client.schemas import ComparisonRow, Evaluation, EvaluationRow, Figure, RunComparison
from ui.render.export import cell
from ui.render.highlight import escape_html, name
from ui.render.html_tables import figure as whole
from ui.render.html_tables import text
from ui.render.names import language_name

Value = Callable[[EvaluationRow], float | Figure | None]

READING, OPEN_DOMAIN, CALIBRATION = "reading", "open-domain", "calibration"
SYSTEMS, WAYS = ("dense", "keyword", "fused"), ("raw", "before", "after")
LANGUAGE = "Language"
COMPARED = (LANGUAGE, "Questions", "A", "B", "B − A", "p", "Better")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of figures: key in the URL, label, and accessor of a row's value."""

    key: str
    label: str
    value: Value

    def number(self, row: EvaluationRow) -> float:
        """The sort key of a row; a missing value is the lowest."""
        found = self.value(row)
        return float("-inf") if found is None else found.value if isinstance(found, Figure) else found


QUESTIONS = Column("questions", "Questions", lambda row: row.questions)
F1 = Column("f1", "F1", lambda row: row.f1)
EXACT = Column("exact", "Exact match", lambda row: row.exact)


def columns_of(run: Evaluation) -> tuple[Column, ...]:
    """The columns of a run of this kind, without the language."""
    if run.kind == OPEN_DOMAIN:
        return (
            QUESTIONS,
            *(_recall(system) for system in SYSTEMS),
            _ranking_column("mrr", "MRR"),
            _ranking_column("ndcg", "nDCG@10"),
            EXACT,
            F1,
            _no_answer_column("precision"),
            _no_answer_column("recall"),
        )
    if run.kind == CALIBRATION:
        judged = [(part, way) for part in ("error", "decided") for way in WAYS]
        return (
            Column("questions", "Samples", lambda row: row.questions),
            *(_judged_column(part, way) for part, way in judged),
        )
    told = {"HasAns_f1": "F1, answerable", "NoAns_f1": "F1, unanswerable", "best_f1": "Best F1"}
    return (QUESTIONS, EXACT, F1, *(_detail(key, label) for key, label in told.items() if run.scorer == "squad2"))


def _recall(system: str) -> Column:
    label = {"dense": "Found by meaning", "keyword": "Found by words", "fused": "Found by both"}[system]
    return Column(system, label, lambda row: ((row.retrieval or {}).get(system, {}).get("recall") or {}).get("10"))


def _ranking_column(part: str, label: str) -> Column:
    return Column(part, label, lambda row: (row.retrieval or {}).get("fused", {}).get(part))


def _no_answer_column(part: str) -> Column:
    return Column(part, f"“No answer” {part}", lambda row: (row.silence or {}).get(part))


def _judged_column(part: str, way: str) -> Column:
    label = f"{'Error' if part == 'error' else 'Decided rightly'}, {way}"
    return Column(f"{part}-{way}", label, lambda row: (row.judged or {}).get(way, {}).get(part))


def _detail(key: str, label: str) -> Column:
    return Column(key, label, lambda row: row.details.get(key))


def sort_rows(rows: Sequence[EvaluationRow], column: Column | None, lowest_first: bool) -> list[EvaluationRow]:
    """Rows sorted by a column (None: by language); the sort is stable."""
    if column is None:
        return sorted(rows, key=lambda row: row_name(row.name), reverse=lowest_first)
    return sorted(rows, key=column.number, reverse=not lowest_first)


def row_name(code: str) -> str:
    """The label of a row: a language, or question language → document language.

    >>> row_name("de"), row_name("en→de"), row_name("all")
    ('German', 'English → German', 'All questions')
    """
    if code in ("all", "mean"):
        return "All questions" if code == "all" else "Mean of languages"
    return " → ".join(language_name(part) for part in code.split("→"))


def lines(run: Evaluation, columns: Sequence[Column], rows: Iterable[EvaluationRow]) -> list[list[str]]:
    """Cells as HTML, the rows over all languages last."""
    ends = [row for row in (run.mean, run.all) if row is not None and len(run.rows) > 1]
    return [[text(row_name(row.name)), *(figure_text(column.value(row)) for column in columns)] for row in (*rows, *ends)]


def figure_text(value: float | Figure | None) -> str:
    """A figure as HTML, with its interval.

    >>> figure_text(1234), figure_text(61.25), figure_text(None)
    ('1,234', '61.2', '–')
    """
    if isinstance(value, Figure):
        return f"<b>{value.value:.1f}</b> {interval(value)}"
    return "–" if value is None else whole(value) if isinstance(value, int) else f"{value:.1f}"


def interval(value: Figure) -> str:
    """
    >>> interval(Figure(50.0, 44.96, 55.0))
    '<span class="docqa-small">45.0–55.0</span>'
    """
    return f'<span class="docqa-small">{value.low:.1f}–{value.high:.1f}</span>'


def as_csv(run: Evaluation, columns: Sequence[Column]) -> bytes:
    """The whole table as CSV, interval bounds in separate columns."""
    rows = [*run.rows, *(row for row in (run.mean, run.all) if row is not None)]
    heads = ["row", "scorer"]
    for column in columns:
        wide = any(isinstance(column.value(row), Figure) for row in rows)
        heads += [column.label, *([f"{column.label} low", f"{column.label} high"] if wide else [])]
    cells = [[row.name, run.scorer, *(part for column in columns for part in _parts(column.value(row)))] for row in rows]
    return _csv(heads, cells)


def _parts(value: float | Figure | None) -> list[float | str]:
    if isinstance(value, Figure):
        return [round(value.value, 4), round(value.low, 4), round(value.high, 4)]
    return ["" if value is None else value if isinstance(value, int) else round(value, 4)]


# -- two runs ----------------------------------------------------------------------------------------------------------


def comparison_lines(found: RunComparison) -> list[list[str]]:
    """Cells of the comparison as HTML, all questions last."""
    names = {"A": found.a, "B": found.b}
    return [
        [
            text(row_name(row.name)),
            whole(row.questions),
            f"{row.a:.1f}",
            f"{row.b:.1f}",
            between(row),
            f"{row.f1.p:.3f}",
            f"<b>{row.better}</b> {name(names[row.better])}" if row.better else escape_html("no significant difference"),
        ]
        for row in (*found.rows, found.all)
    ]


def between(row: ComparisonRow) -> str:
    """The difference in F1 with its interval, always signed."""
    return f'<b>{row.f1.value:+.1f}</b> <span class="docqa-small">{row.f1.low:+.1f} to {row.f1.high:+.1f}</span>'


def comparison_csv(found: RunComparison) -> bytes:
    """The comparison as CSV."""
    heads = ["row", "scorer", "questions", f"F1 of {found.a}", f"F1 of {found.b}"]
    parts = ["difference", "low", "high", "p"]
    heads += [f"{figure} {part}" for figure in ("F1", "exact match") for part in parts] + ["better"]
    names = {"A": found.a, "B": found.b, "": ""}
    cells: list[list[object]] = [
        [row.name, found.scorer, row.questions, round(row.a, 4), round(row.b, 4)]
        + [round(getattr(of, part), 4) for of in (row.f1, row.exact) for part in ("value", "low", "high", "p")]
        + [names[row.better]]
        for row in (*found.rows, found.all)
    ]
    return _csv(heads, cells)


def _csv(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow([cell(head) for head in heads])
    writer.writerows([cell(value) for value in row] for row in rows)
    return out.getvalue().encode("utf-8-sig", "replace")
