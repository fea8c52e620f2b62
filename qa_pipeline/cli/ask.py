"""Commands for questions: `ask`, `search`, `read`. Heavy modules load when a command runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from indexing.errors import SettingError
from qa_pipeline.cli.output import mark_answer, print_json, print_reply, print_word_hits
from qa_pipeline.settings import PRECISIONS

if TYPE_CHECKING:
    from qa_pipeline.answering.answerer import Answerer
    from qa_pipeline.answers import Reply

OK, NOTHING_FOUND = 0, 1


def add_ask_verbs(verbs: Any) -> None:
    for name, about in (
        ("ask", "answer a question from an index"),
        ("search", "the closest passages, without running the reader"),
    ):
        verb = verbs.add_parser(name, help=about)
        verb.add_argument("index", metavar="INDEX", type=Path)
        verb.add_argument(
            "question",
            metavar="QUESTION",
            help="the question; `-` reads one a line from standard input",
            **({"nargs": "?"} if name == "search" else {}),
        )
        if name == "ask":
            verb.add_argument("--top-k", type=int, default=5, metavar="N", help="answers at most (5)")
            verb.add_argument("--reader", metavar="NAME", help="preset, hub id or folder; `builtin` needs no download")
            verb.add_argument("--thorough", action="store_true", help="read every passage, without early stopping")
            verb.add_argument(
                "--read-at-least", type=int, default=1, metavar="N", help="passages read before early stopping (1)"
            )
            verb.add_argument("--budget-ms", type=float, metavar="MS", help="start no further passage after this time")
            _add_precision(verb)
            verb.add_argument(
                "--no-answer-threshold", type=float, metavar="P", help="give `no answer` above this score (0..1)"
            )
        verb.add_argument("--retrieve", type=int, default=10, metavar="N", help="passages at most (10)")
        verb.add_argument(
            "--filter",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            dest="filters",
            help="only passages like this; again for more (same name: or, other name: and)",
        )
        verb.add_argument(
            "--words",
            default="",
            metavar="WORDS",
            help='only passages with these words: `"a phrase"`, AND, OR, NOT, `begin*`, `a NEAR/5 b`, `field:value`',
        )
        verb.add_argument("--json", action="store_true", help="one object a question")
        verb.set_defaults(run=_ask if name == "ask" else _search)


def _add_precision(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--precision",
        default="auto",
        choices=PRECISIONS,
        help="how the reader computes; auto: int8 where the processor has it in hardware, else fp32",
    )


def add_read_verb(verbs: Any) -> None:
    verb = verbs.add_parser("read", help="answer a question from one text, without an index")
    verb.add_argument("question", metavar="QUESTION")
    verb.add_argument("--context", metavar="TEXT|FILE|-", required=True, help="the text, a file, or standard input")
    verb.add_argument("--reader", metavar="NAME", help="preset, hub id or folder; `builtin` needs no download")
    _add_precision(verb)
    verb.add_argument("--json", action="store_true", help='one object: {"answer", "start", "end", "score"}')
    verb.set_defaults(run=_read)


def _ask(options: argparse.Namespace) -> int:
    from indexing.models.presets import DEFAULT_READER

    return _answer_all(options, options.reader or DEFAULT_READER, "ask")


def _search(options: argparse.Namespace) -> int:
    if options.question is not None:
        return _answer_all(options, None, "search")
    if not options.words:
        raise SettingError("Give a question, or words to search for with --words.")
    return _search_words(options)


def _search_words(options: argparse.Namespace) -> int:
    """The passages with the words, without a question: no model is loaded."""
    from indexing.store.filters import parse_terms
    from indexing.store.index import Index
    from qa_pipeline.retrieval.word_search import WordSearcher
    from qa_pipeline.settings import AskSettings

    limit = AskSettings(retrieve=options.retrieve).retrieve
    with Index.open(options.index) as index:
        found = WordSearcher(index).search(options.words, parse_terms(options.filters), limit=limit)
    print_json(msgspec.to_builtins(found)) if options.json else print_word_hits(found)
    return OK if found.passages else NOTHING_FOUND


def _answer_all(options: argparse.Namespace, reader: str | None, verb: str) -> int:
    from indexing.store.corpus_db import IndexFolder
    from indexing.store.filters import parse_terms, where
    from qa_pipeline.settings import AskSettings, question_text

    filters = parse_terms(options.filters)
    where(filters)
    asked: dict[str, Any] = {"retrieve": options.retrieve, "words": options.words}
    if verb == "ask":
        asked |= {"top_k": options.top_k, "no_answer_threshold": options.no_answer_threshold}
        asked |= {"thorough": options.thorough, "read_at_least": options.read_at_least, "budget_ms": options.budget_ms}
    settings = AskSettings(**asked)
    if options.question != "-":
        question_text(options.question)
    IndexFolder.open(options.index).close()
    answerer = _answerer(options.index, reader, settings, getattr(options, "precision", "auto"))
    found = False
    for question in _questions(options.question):
        try:
            reply: Reply = getattr(answerer, verb)(question, settings, filters)
        except SettingError as error:
            if options.question != "-":
                raise
            print(f"docqa: {error}", file=sys.stderr)
            print_json({"question": question, "error": str(error)}) if options.json else None
            continue
        found = found or bool(reply.answers if verb == "ask" else reply.passages)
        print_json(msgspec.to_builtins(reply)) if options.json else print_reply(reply, verb)
        sys.stdout.flush()
    return OK if found else NOTHING_FOUND


def _answerer(index: Path, reader: str | None, settings: Any, precision: str) -> Answerer:
    from qa_pipeline.answering.answerer import Answerer

    return Answerer.open(index, reader, settings, precision)


def _questions(question: str) -> Iterator[str]:
    if question != "-":
        yield question
        return
    for line in _stdin():
        if line.strip():
            yield line.strip()


def _stdin() -> Iterable[str]:
    """The lines of standard input as UTF-8, whatever the locale; a byte order mark is dropped."""
    for number, line in enumerate(sys.stdin.buffer):
        text = line.decode("utf-8", errors="replace")
        yield text.removeprefix("\ufeff") if number == 0 else text


def _read(options: argparse.Namespace) -> int:
    from indexing.models.presets import DEFAULT_READER
    from indexing.models.registry import resolve
    from qa_pipeline.settings import question_text

    question = question_text(options.question)
    context = _context(options.context)
    folder = resolve(options.reader or DEFAULT_READER, "reader")
    from qa_pipeline.answering.calibration import calibration_of
    from qa_pipeline.answering.verdict import answer_text
    from qa_pipeline.reading.load import load_reader

    found = answer_text(load_reader(folder, precision=options.precision), question, context, calibration_of(folder))
    if options.json:
        print_json(found)
    elif found["answer"]:
        start, end = found["start"], found["end"]
        print(mark_answer(context, start, end, max(0, start - 200), min(len(context), end + 200)))
        print(f"  characters {start}-{end} · score {found['score']:.2f}")
    else:
        print(f"No answer in this text (score {found['score']:.2f}).")
    return OK if found["answer"] else NOTHING_FOUND


def _context(value: str) -> str:
    """The context: the text of a file in any supported format, standard input, or the value itself."""
    if value == "-":
        text = "".join(_stdin())
    elif len(value) < 1_000 and "\n" not in value and Path(value).is_file():
        text = _file_text(Path(value))
    else:
        text = value
    if not text.strip():
        raise SettingError("The context is empty.")
    return text


def _file_text(path: Path) -> str:
    from indexing.files.walk import FileReader, find_files

    with FileReader() as reader:
        texts, _ = reader.read(next(iter(find_files(path))))
    return "\n\n".join(text.text for text in texts)
