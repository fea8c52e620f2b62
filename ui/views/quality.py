"""The page Quality: evaluation runs, figures by language, plots, errors, and comparison."""

from __future__ import annotations

import base64
from functools import partial

import streamlit as st

from ui.client.schemas import Evaluation, Figure
from ui.components.error_analysis import show_predictions
from ui.render.evaluation_table import (
    CALIBRATION,
    COMPARED,
    LANGUAGE,
    OPEN_DOMAIN,
    as_csv,
    columns_of,
    comparison_csv,
    comparison_lines,
    interval,
    lines,
    row_name,
    sort_rows,
)
from ui.render.highlight import escape_html, name
from ui.render.html_tables import STYLE, count, facts, heading, table, text, when
from ui.render.names import plain
from ui.state.session import client, show_problems
from ui.state.url import QUALITY, address, follow, followed, link, parameter

KINDS = {"reading": "each question over its own text", OPEN_DOMAIN: "open domain", CALIBRATION: "calibration"}
FILES, WIDE = 3, 6
SCORERS = ("squad1", "squad2", "mlqa", "tydiqa")
PLOTS = {
    "by-language": "Exact match and F1 of each language, with their intervals",
    "precision-recall": "Precision against recall, as the no-answer threshold moves",
    "retrieval": "How often the right passage is among the first 10, by language",
    "matrix": "How often the right passage is among the first 10, by the languages of question and documents",
    "reliability": "Share of right answers by the reader's probability (reliability)",
}


def page() -> None:
    """Shows the run in the URL, or all of them."""
    st.html(STYLE)
    if wanted := parameter("run"):
        one(wanted)
    else:
        overview()


# -- all runs ----------------------------------------------------------------------------------------------------------


def overview() -> None:
    """Lists all runs with their figures, or says who creates the first."""
    st.title("Quality")
    with show_problems():
        runs = client().list_evaluations()
    for run in runs:
        with st.container(border=True, key=f"run-{run.name}"):
            st.html(f"{heading(name(run.name))}{facts(about(run))}{headline(run)}{wrong(run)}")
            if run.state == "done":
                link(QUALITY, "Open", run=run.name)
    if not runs:
        st.info(
            "There is no evaluation yet. Those who run the service create one from question files;"
            " the guide “Show an evaluation on the page” in its documentation tells how."
        )
    feedback()


def feedback() -> None:
    """Offers the feedback on a collection's answers as a question file, which an evaluation reads."""
    with show_problems():
        titles = {corpus.name: corpus.title or corpus.name for corpus in client().list_corpora()}
    if not titles:
        return
    st.header("Feedback as a question file")
    st.caption("The questions whose answers were judged. The guide “Use feedback from the page” tells how to evaluate them.")
    chosen = st.selectbox("Collection", titles, format_func=lambda corpus: titles[corpus], key="quality_corpus")
    st.download_button(
        "Download the feedback",
        partial(client().feedback_file, chosen),
        f"{chosen}-feedback.json",
        "application/json",
        on_click="ignore",
        type="tertiary",
    )


def about(run: Evaluation) -> list[str]:
    """Models, kind, scorer, questions, files and time of a run."""
    models = f"{name(run.reader)}{f' with {name(run.embedder)}' if run.embedder else ''}" if run.reader else ""
    more = f" and {len(run.files) - FILES:,} more" if len(run.files) > FILES else ""
    files = ", ".join(name(file.name) for file in run.files[:FILES]) + more
    asked = f"{count(run.asked, 'question')}" + (f" in {count(run.languages, 'language')}" if run.languages else "")
    scored = f"scored by {escape_html(run.scorer)}" if run.scorer else ""
    return [models, KINDS.get(run.kind, ""), scored, asked if run.asked else "", files, escape_html(when(run.made))]


def headline(run: Evaluation) -> str:
    """The figures over all questions, in one line."""
    found = {"exact match": run.exact, "F1": run.f1, "found in 10": run.recall}
    parts = [_figure(label, value) for label, value in found.items() if value is not None]
    return f'<div class="docqa-figures">{"".join(parts)}</div>' if parts else ""


def _figure(label: str, value: Figure | float) -> str:
    if isinstance(value, Figure):
        return f"<span>{escape_html(label)} <b>{value.value:.1f}</b> {interval(value)}</span>"
    return f"<span>{escape_html(label)} <b>{value:.1f}</b></span>"


def wrong(run: Evaluation) -> str:
    """The problem of a run, as HTML."""
    return text(run.problem, "bad") if run.problem else ""


# -- one run -----------------------------------------------------------------------------------------------------------


def one(wanted: str) -> None:
    """Shows a run: table, plots, comparison, answers."""
    link(QUALITY, "All evaluations")
    with show_problems():
        run = client().get_evaluation(wanted)
    st.html(f'<h1 class="docqa-title">{name(run.name)}</h1>{facts(about(run))}{headline(run)}{wrong(run)}')
    if run.state != "done":
        return
    st.header("By language")
    figures(run)
    pictures(run)
    compare(run)
    show_predictions(run, _state())
    with st.expander("Models and questions"):
        show_inputs(run)


def show_inputs(run: Evaluation) -> None:
    """Shows what determines the predictions: models with fingerprints, and question files."""
    models = [("Reader", run.reader, "reader"), ("Embedder", run.embedder, "embedder")]
    rows = [[text(kind), name(model), text(run.fingerprints.get(key, ""))] for kind, model, key in models if model]
    rows += [[text("Questions"), name(file.name), count(file.questions, "question")] for file in run.files]
    rows += [[text("Passages read"), f"{run.retrieve:,}", ""]] if run.retrieve else []
    st.html(table(("", "", ""), rows))


def _state() -> dict[str, str]:
    """The URL parameters, except the page number of the answers."""
    return {key: parameter(key) for key in ("run", "sort", "up", "with", "scorer", "show", "language", "order")}


def figures(run: Evaluation) -> None:
    """The table in the selected order."""
    columns = columns_of(run)
    labels = {"": LANGUAGE, **{column.key: column.label for column in columns}}
    left, right = st.columns((2, 1), vertical_alignment="bottom")
    follow("quality_sort", parameter("sort") if parameter("sort") in labels else "")
    follow("quality_up", bool(parameter("up")))
    picked = left.selectbox("Sort by", list(labels), key="quality_sort", format_func=labels.__getitem__)
    key = str(followed("quality_sort", picked) or "")
    turned = bool(followed("quality_up", right.toggle("The other way round", key="quality_up")))
    address(sort=key, up=turned)
    chosen = next((column for column in columns if column.key == key), None)
    heads = list(labels.values())
    rows = table(heads, lines(run, columns, sort_rows(run.rows, chosen, turned)), heads[1:])
    st.html(f'<div class="docqa-measured{" docqa-dense" if len(heads) > WIDE else ""}">{rows}</div>')
    st.caption(_explained(run))
    st.download_button(
        "Table as CSV",
        as_csv(run, columns),
        f"{run.name}.csv",
        "text/csv",
        on_click="ignore",
        key="quality_csv",
        type="tertiary",
    )


def _explained(run: Evaluation) -> str:
    """Explains the figures of the table, in Markdown."""
    parts = [f"In percent, {plain(run.about)}."]
    if run.kind == CALIBRATION:
        parts.append(
            "Error: expected calibration error (ECE). Decided rightly: “no answer” where it is right, and only there."
            " Raw: uncalibrated logits; before: with the earlier calibration; after: with the learned one."
        )
    else:
        parts.append(f"Beside a figure its {run.confidence:.0f} % interval: {run.resamples:,} resamples of the questions.")
    if run.mean_leaves_out:
        parts.append(f"The mean leaves out {plain(', '.join(map(row_name, run.mean_leaves_out)))}.")
    if run.kind == OPEN_DOMAIN:
        parts.append(f"Found: the right passage is among the first ten. {run.retrieve or 0:,} passages read.")
    return " ".join(parts)


def pictures(run: Evaluation) -> None:
    """The plots of a run, each with downloads as PNG and SVG."""
    drawn = [plot for plot in run.plots if plot.endswith(".png")]
    if not drawn:
        return
    st.header("Plots")
    for plot in drawn:
        stem = plot.removesuffix(".png")
        words = PLOTS.get(stem, stem)
        with show_problems(stop=False), st.container(key=f"plot-{stem}"):
            data = base64.b64encode(client().get_plot(run.name, plot).data).decode()
            st.html(
                f'<figure class="docqa-plot"><figcaption>{escape_html(words)}</figcaption>'
                f'<img alt="{escape_html(words)}" src="data:image/png;base64,{data}"></figure>'
            )
            _takeaways(run, [one for one in run.plots if one.rpartition(".")[0] == stem])


def _takeaways(run: Evaluation, files: list[str]) -> None:
    asker = client()
    with st.container(horizontal=True, gap="small"):
        for file in files:
            kind = file.rpartition(".")[2]
            st.download_button(
                kind.upper(),
                lambda file=file: asker.get_plot(run.name, file).data,  # type: ignore[misc]
                f"{run.name}-{file}",
                {"svg": "image/svg+xml"}.get(kind, "image/png"),
                on_click="ignore",
                key=f"take-{file}",
                type="tertiary",
            )


# -- two runs ----------------------------------------------------------------------------------------------------------


def compare(run: Evaluation) -> None:
    """Compares the run with another one over the same questions."""
    with show_problems(stop=False):
        others = [other.name for other in client().list_evaluations() if _alike(run, other)]
        if not others:
            return
        st.header("Compare")
        other, scorer = _beside(others)
        if not other:
            return
        found = client().compare_evaluations(run.name, other, scorer or None)
        st.html(
            f'<div class="docqa-facts"><span>A: {name(found.a)} ({name(found.a_reader)})</span>'
            f"<span>B: {name(found.b)} ({name(found.b_reader)})</span><span>F1 by {escape_html(found.scorer)}</span></div>"
        )
        st.html(f'<div class="docqa-measured">{table(COMPARED, comparison_lines(found), COMPARED[1:])}</div>')
        notes = "".join(f" {plain(note)}" for note in found.notes)
        st.caption(f"p by paired bootstrap, of languages with Holm's correction; better: p is below 0.05.{notes}")
        st.download_button(
            "Comparison as CSV",
            comparison_csv(found),
            f"{found.a}-{found.b}.csv",
            "text/csv",
            on_click="ignore",
            key="quality_compared_csv",
            type="tertiary",
        )


def _alike(run: Evaluation, other: Evaluation) -> bool:
    return other.state == "done" and other.kind == run.kind != CALIBRATION and other.name != run.name


def _beside(others: list[str]) -> tuple[str, str]:
    """The selected run and scorer, "" for none; both kept in the URL."""
    given = parameter("with") if parameter("with") in others else ""
    follow("quality_with", given)
    follow("quality_scorer", parameter("scorer") if parameter("scorer") in SCORERS else "")
    left, right = st.columns((2, 1))
    other = left.selectbox("Compare with", ["", *others], key="quality_with", format_func=lambda one: one or "no other run")
    scorer = right.selectbox(
        "Scorer", ["", *SCORERS], key="quality_scorer", format_func=lambda one: one or "that of both runs"
    )
    chosen = (str(followed("quality_with", other) or ""), str(followed("quality_scorer", scorer) or ""))
    address(**{"with": chosen[0], "scorer": chosen[1]})
    return chosen


page()
