"""Commands of evaluation: `stats`, `evaluate`, `compare`, `calibrate`. Heavy modules load when a command runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexing.errors import SettingError
from qa_pipeline.cli.output import ProgressBar, print_json

if TYPE_CHECKING:
    from qa_pipeline.datasets.examples import Example
    from qa_pipeline.evaluation.calibration.run import CalibrationResult
    from qa_pipeline.evaluation.metrics.ranking import Ranking
    from qa_pipeline.evaluation.metrics.scorers import Scorer
    from qa_pipeline.evaluation.open_domain.summary import OpenRow
    from qa_pipeline.evaluation.reading_comprehension.run import MeasuredReader
    from qa_pipeline.evaluation.reading_comprehension.summary import Row, Summary
    from qa_pipeline.evaluation.runs.predictions import QuestionSet

SCORER_NAMES = ("squad1", "squad2", "mlqa", "tydiqa")


def add_verbs(verbs: Any) -> None:
    """Add the verbs of evaluation with their options."""
    stats = verbs.add_parser("stats", help="contents of question sets: tokens per language")
    _add_files(stats)
    stats.add_argument("--json", action="store_true", help="one object a language")
    stats.set_defaults(run=_stats)
    _add_evaluate(verbs)
    compare = verbs.add_parser("compare", help="is one of two runs of `evaluate` better, or could it be chance")
    compare.add_argument("a", metavar="RUN_A", type=Path, help="folder of `docqa evaluate --out`")
    compare.add_argument("b", metavar="RUN_B", type=Path, help="another one, over the same questions")
    compare.add_argument("--scorer", choices=SCORER_NAMES, help="whose figures (the one both runs were scored by)")
    compare.add_argument("--json", action="store_true", help="one object a row")
    compare.set_defaults(run=_compare)
    _add_calibrate(verbs)


def _add_calibrate(verbs: Any) -> None:
    verb = verbs.add_parser("calibrate", help="learn a reader's probabilities, and when to give `no answer`")
    _add_files(verb)
    verb.add_argument("--reader", metavar="NAME", help="preset, hub id or folder; `builtin` needs no download")
    verb.add_argument("--embedder", metavar="NAME", help="finds the passages that distract: preset, hub id or folder")
    verb.add_argument("--retrieve", type=int, default=10, metavar="N", help="passages read for a question (10)")
    verb.add_argument("--limit", type=int, metavar="N", help="only so many questions of each file, evenly spread over it")
    verb.add_argument("--out", metavar="DIR", type=Path, help="folder for predictions, figures and the reliability plot")
    verb.add_argument("--dry-run", action="store_true", help="measure only; the reader's calibration stays unchanged")
    verb.add_argument("--json", action="store_true", help="one object a language, then one for all")
    verb.set_defaults(run=_calibrate)


def _add_evaluate(verbs: Any) -> None:
    verb = verbs.add_parser("evaluate", help="how good a reader's answers are, language by language")
    _add_files(verb)
    verb.add_argument("--reader", metavar="NAME", help="preset, hub id or folder; `builtin` needs no download")
    verb.add_argument("--scorer", choices=SCORER_NAMES, help="whose figures (the official script of what FILES are)")
    verb.add_argument("--limit", type=int, metavar="N", help="only so many questions of each file, evenly spread over it")
    verb.add_argument(
        "--out", metavar="DIR", type=Path, help="folder for predictions, metrics and plots; continues a stopped run"
    )
    verb.add_argument("--home", metavar="HOME", type=Path, help="the home folder of a service, whose page shows the run")
    verb.add_argument("--name", metavar="NAME", help="with --home: what the run is called there")
    verb.add_argument("--open-domain", action="store_true", help="the contexts become a corpus that is asked")
    verb.add_argument("--embedder", metavar="NAME", help="with --open-domain: preset, hub id or folder")
    verb.add_argument("--retrieve", type=int, default=10, metavar="N", help="with --open-domain: passages read (10)")
    verb.add_argument("--across", action="store_true", help="with --open-domain: also search the other languages' contexts")
    verb.add_argument("--find-only", action="store_true", help="with --open-domain: only find passages, without the reader")
    verb.add_argument(
        "--sentences", action="store_true", help="XQuAD-R: find answer sentences in all languages, without a reader"
    )
    verb.add_argument("--json", action="store_true", help="one object a row")
    verb.set_defaults(run=_evaluate)


def _add_files(verb: Any) -> None:
    verb.add_argument(
        "files", metavar="FILES", type=Path, nargs="+", help="SQuAD-shaped JSON or jsonl, plain, .gz or .xz; folders of them"
    )


def _examples(paths: Sequence[Path]) -> list[Example]:
    """The questions of all files; repairs of the data are reported on standard error."""
    from qa_pipeline.datasets.examples import find_files, read_examples

    return [example for path in find_files(paths) for example in read_examples(path, _tell)]


def _tell(sentence: str) -> None:
    print(f"docqa: {sentence}", file=sys.stderr)


# -- stats -------------------------------------------------------------------------------------------------------------


def _stats(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from qa_pipeline.datasets.statistics import statistics

    rows = statistics(_examples(options.files))
    if options.json:
        for row in rows:
            print_json(asdict(row))
        return 0
    print(f"{'':<10}{'paragraphs':>12}{'questions':>12}{'unanswerable':>14}{'tokens of a: paragraph':>25}", end="")
    print(f"{'question':>10}{'answer':>8}")
    for row in rows:
        print(
            f"{row.language:<10}{row.paragraphs:>12,}{row.questions:>12,}{row.unanswerable:>14,}"
            f"{row.paragraph_tokens:>25.1f}{row.question_tokens:>10.1f}{row.answer_tokens:>8.1f}"
        )
    print("Tokens: means; Chinese by jieba, others by the Moses tokenizer (sacremoses; Hindi as the Perl script splits it).")
    return 0


# -- evaluate ----------------------------------------------------------------------------------------------------------


def _evaluate(options: argparse.Namespace) -> int:
    from indexing.models.presets import DEFAULT_READER
    from qa_pipeline.evaluation.metrics.scorers import SCORERS, scorer_for
    from qa_pipeline.evaluation.reading_comprehension.run import MeasuredReader, evaluate_reading

    options.out = _out(options)
    if options.sentences:
        return _evaluate_sentences(options)
    questions = _questions(options)
    if options.find_only:
        return _find_only(options, questions)
    scorer = SCORERS[options.scorer] if options.scorer else scorer_for(questions.examples)
    reader = MeasuredReader.load(options.reader or DEFAULT_READER)
    if options.open_domain:
        return _evaluate_open(options, questions, reader, scorer)
    with ProgressBar("reading") as bar:
        summary = evaluate_reading(questions, reader, scorer, options.out, bar.update)
    if options.json:
        _print_rows_json((*summary.rows, summary.mean, summary.all), scorer=scorer.name, reader=reader.name)
    else:
        _print_summary(summary, reader.name)
        _print_where(options.out)
    return 0


def _out(options: argparse.Namespace) -> Path | None:
    """The folder of results: --out, or the run --name in --home; None: nothing is stored."""
    from qa_pipeline.service.evaluation_runs import folder_of
    from qa_pipeline.service.home import Home

    out: Path | None = options.out
    if options.home is None and options.name is None:
        return out
    if options.home is None or options.name is None or out is not None:
        raise SettingError("--home and --name belong together, and stand in place of --out.")
    return folder_of(Home.open(options.home).evaluations, options.name)


def _evaluate_sentences(options: argparse.Namespace) -> int:
    from indexing.models.embedder import Embedder
    from indexing.models.presets import DEFAULT_EMBEDDER
    from qa_pipeline.evaluation.open_domain.sentence_retrieval import find_sentences

    if options.out or options.open_domain:
        raise SettingError("--sentences reads nothing and keeps no folder; leave --out, --home and --open-domain out.")
    embedder = Embedder.load(options.embedder or DEFAULT_EMBEDDER)
    rows = find_sentences(options.files, embedder, options.limit)
    if options.json:
        _print_rows_json(rows, embedder=embedder.name)
        return 0
    print(f"{embedder.name}: answer sentences found, mean average precision in three pools of sentences")
    evenly = f"own language first (evenly {rows[0].even_share:.1f})"
    print(f"{'':<10}{'questions':>10}   {'mono':>7}{'cross':>7}{'multi':>7}   {evenly}")
    for row in rows:
        print(f"{row.name:<10}{row.questions:>10,}   {row.mono:>7.1f}{row.cross:>7.1f}{row.multi:>7.1f}", end="")
        print(f"   {row.own_share:>7.1f}")
    print("%; mono: of the question's language, cross: of one other (mean over all), multi: of all languages at once")
    return 0


def _questions(options: argparse.Namespace) -> QuestionSet:
    """The questions of FILES, at most --limit per file."""
    from qa_pipeline.evaluation.runs.predictions import QuestionSet

    if options.limit is not None and options.limit < 1:
        raise SettingError(f"--limit is {options.limit}; it must be 1 or more.")
    questions = QuestionSet.read(options.files, options.limit, _tell)
    if not questions.examples:
        raise SettingError("There are no questions in these files.")
    return questions


def _evaluate_open(options: argparse.Namespace, questions: QuestionSet, reader: MeasuredReader, scorer: Scorer) -> int:
    from indexing.models.embedder import Embedder
    from indexing.models.presets import DEFAULT_EMBEDDER
    from indexing.settings import whole_number
    from qa_pipeline.evaluation.open_domain.run import OpenDomainSettings, evaluate_open

    how = OpenDomainSettings(whole_number("--retrieve", options.retrieve, 1, 50), options.across)
    embedder = Embedder.load(options.embedder or DEFAULT_EMBEDDER)
    with ProgressBar("asking") as bar:
        summary = evaluate_open(questions, reader, embedder, scorer, how=how, out=options.out, progress=bar.update)
    if options.json:
        _print_rows_json((*summary.rows, summary.all), scorer=scorer.name, reader=reader.name, embedder=embedder.name)
        return 0
    print(
        f"{reader.name} with {embedder.name}, {how.retrieve} passages read; answers scored by {scorer.name} ({scorer.about})"
    )
    print(f"{'':<20}   {'recall@1 / @10 of':<45}{'MRR':>7}{'nDCG@10':>9}   {'as given':<21}{'best':>6}   no answer given")
    print(f"{'':<10}{'questions':>10}   {'dense':<15}{'keyword':<15}{'fused':<15}{'fused':>7}{'fused':>9}", end="")
    print(f"   {'F1':<21}{'F1':>6}   precision  recall   AUROC")
    for row in (*summary.rows, *([summary.all] if len(summary.rows) > 1 else [])):
        _print_open_row(row)
    print("%; each question is also asked with its own context removed from the corpus: then `no answer` is right")
    _print_where(options.out)
    return 0


def _find_only(options: argparse.Namespace, questions: QuestionSet) -> int:
    from indexing.models.embedder import Embedder
    from indexing.models.presets import DEFAULT_EMBEDDER
    from qa_pipeline.evaluation.open_domain.retrieval_only import find

    if options.out or not options.open_domain:
        raise SettingError("--find-only belongs to --open-domain and keeps no folder; leave --out, --home and --name out.")
    embedder = Embedder.load(options.embedder or DEFAULT_EMBEDDER)
    with ProgressBar("finding") as bar:
        found = find(questions.examples, questions.contexts, embedder, options.across, bar.update)
    if options.json:
        _print_rows_json((*found.rows, found.all), embedder=embedder.name)
        return 0
    print(f"{embedder.name}: right passages found among the contexts of the question's language; nothing is read")
    print(f"{'':<20}   {'recall@1 / @10 of':<45}{'MRR':>7}{'nDCG@10':>9}", end="")
    print("   recall@10 across languages" if options.across else "")
    print(f"{'':<10}{'questions':>10}   {'dense':<15}{'keyword':<15}{'fused':<15}{'fused':>7}{'fused':>9}", end="")
    print(f"{'dense':>10}{'fused':>10}" if options.across else "")
    for row in (*found.rows, *([found.all] if len(found.rows) > 1 else [])):
        _print_found(row.name, row.questions, row.retrieval)
        print(f"{row.across['dense']:>10.1f}{row.across['fused']:>10.1f}" if options.across else "")
    print("%" + ("; across: mean over the other languages' contexts" if options.across else ""))
    return 0


def _print_found(name: str, questions: int, retrieval: dict[str, Ranking]) -> None:
    found = "".join(f"{f'{r.recall[1]:.1f} / {r.recall[10]:.1f}':<15}" for r in retrieval.values())
    fused = retrieval["fused"]
    print(f"{name:<10}{questions:>10,}   {found}{fused.mrr:>7.1f}{fused.ndcg:>9.1f}", end="")


def _print_open_row(row: OpenRow) -> None:
    f1 = f"{row.f1.value:5.1f} [{row.f1.low:4.1f}, {row.f1.high:4.1f}]"
    _print_found(row.name, row.questions, row.retrieval)
    print(f"   {f1:<21}{row.best_f1:>6.1f}", end="")
    told = f"{row.silence.auroc:>8.3f}" if row.silence.auroc is not None else ""
    print(f"   {row.silence.precision:>9.1f}{row.silence.recall:>8.1f}{told}")


def _print_where(out: Path | None) -> None:
    if out:
        print(f"predictions, metrics and plots are in {out}")


def _print_rows_json(rows: Sequence[Any], **facts: str) -> None:
    from dataclasses import asdict

    for row in rows:
        print_json({**facts, **asdict(row)})


def _print_summary(summary: Summary, reader: str) -> None:
    from qa_pipeline.evaluation.metrics.bootstrap import CONFIDENCE, RESAMPLES

    print(f"{reader}, scored by {summary.scorer.name} ({summary.scorer.about})")
    print(
        f"{'':<10}{'questions':>10}   {'exact match':<21}{'F1':<21}" + (DETAILS if summary.scorer.name == "squad2" else "")
    )
    for row in summary.rows:
        _print_row(row, row.name)
    left_out = f", not {', '.join(summary.left_out)}" if summary.left_out else ""
    if len(summary.rows) > 1:
        _print_row(summary.mean, "mean")
        _print_row(summary.all, "all")
        print(f"mean: every language counts the same{left_out}; all: every question does.")
    print(f"%, with {100 * CONFIDENCE:.0f} % intervals from {RESAMPLES:,} bootstrap resamples of the questions")


DETAILS = f"{'HasAns F1':>10}{'NoAns':>8}{'best F1':>9}"


def _print_row(row: Row, name: str) -> None:
    figures = "".join(f"{f'{f.value:5.1f} [{f.low:4.1f}, {f.high:4.1f}]':<21}" for f in (row.exact, row.f1))
    known = [(row.details.get(name), width) for name, width in (("HasAns_f1", 10), ("NoAns_f1", 8), ("best_f1", 9))]
    more = "".join(f"{value:>{width}.1f}" if value is not None else " " * width for value, width in known)
    print(f"{name:<10}{row.questions:>10,}   {figures}{more}".rstrip())


# -- compare -----------------------------------------------------------------------------------------------------------


def _compare(options: argparse.Namespace) -> int:
    from qa_pipeline.evaluation.analysis.compare import compare

    found = compare(options.a, options.b, options.scorer, _tell)
    if options.json:
        for line in found.as_dicts():
            print_json(line)
        return 0
    print(f"A: {options.a} ({found.readers[0]}); B: {options.b} ({found.readers[1]}); scored by {found.scorer}")
    print(f"{'':<10}{'questions':>10}{'A F1':>8}{'B F1':>8}   {'B - A':<24}{'p':>7}   better")
    for row in (*found.rows, found.all):
        f1 = row.f1
        between = f"{f1.value:+5.1f} [{f1.low:+5.1f}, {f1.high:+5.1f}]"
        print(f"{row.name:<10}{row.questions:>10,}{row.a:>8.1f}{row.b:>8.1f}   {between:<24}", end="")
        print(f"{f1.p:>7.3f}   {row.verdict or '-'}")
    print("p by paired bootstrap; p of languages with Holm's correction; `-`: p is not below 0.05.")
    return 0


# -- calibrate ---------------------------------------------------------------------------------------------------------


def _calibrate(options: argparse.Namespace) -> int:
    from indexing.models.embedder import Embedder
    from indexing.models.presets import DEFAULT_EMBEDDER, DEFAULT_READER
    from indexing.models.registry import resolve
    from indexing.settings import whole_number
    from qa_pipeline.answering.calibration_store import save
    from qa_pipeline.evaluation.calibration.run import calibrate
    from qa_pipeline.evaluation.reading_comprehension.run import MeasuredReader

    questions = _questions(options)
    retrieve = whole_number("--retrieve", options.retrieve, 1, 50)
    reader = MeasuredReader.load(options.reader or DEFAULT_READER)
    embedder = Embedder.load(options.embedder or DEFAULT_EMBEDDER)
    with ProgressBar("asking") as bar:
        found = calibrate(questions, reader, embedder, retrieve=retrieve, out=options.out, progress=bar.update)
    if options.json:
        _print_rows_json((*found.rows, found.all), reader=reader.name)
    else:
        _print_calibrated(found)
    if not options.dry_run:
        path = save(resolve(reader.name, "reader"), found.known)
        print(f"docqa: stored in {path}; `docqa ask` with this reader uses it from now on.", file=sys.stderr)
    return 0


def _print_calibrated(found: CalibrationResult) -> None:
    print(f"{'':<22}{'calibration error (ECE), %':<27}{'no-answer decision right, %':<27}")
    print(f"{'':<10}{'samples':>9}   " + 2 * f"{'raw':>7}{'before':>8}{'after':>7}     ")
    for row in (*found.rows, found.all):
        ways = [row.judged[way] for way in ("raw", "before", "after")]
        errors, decisions = ([getattr(way, name) for way in ways] for name in ("error", "decided"))
        columns = "     ".join(f"{a:>7.1f}{b:>8.1f}{c:>7.1f}" for a, b, c in (errors, decisions))
        print(f"{row.name:<10}{row.samples:>9,}   {columns}" + ("" if row.fitted else "   (pooled: too few)"))
    print("two-fold cross-validation over paragraphs; raw: uncalibrated logits, before: the earlier calibration")
    if found.known.found and (weights := found.known.found.evidence_weights):
        print(
            f"beside a logit of the reader a passage's dense score counts {weights.near:.1f},"
            f" its share of words {weights.words:.1f}, its sentence score {weights.sentences:.1f}"
        )
    for known, name in ((found.known.found, "retrieved"), (found.known, "given by hand")):
        if known and (facts := known.fact_weights):
            print(f"in passages {name} a missing number costs {facts.numbers:.1f} logits, missing names {facts.names:.1f}")
