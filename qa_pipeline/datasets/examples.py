"""Reads question sets into `Example`s: SQuAD 1.1 and 2.0 JSON (so MLQA, XQuAD, TyDiQA-GoldP), or JSON lines.

The format is detected from the content, never from the file name. Invariant for every gold answer with a known offset:
`context[gold.start : gold.start + len(gold.text)] == gold.text`. An offset that breaks it is moved to the nearest
occurrence of the text, and reported.
"""

from __future__ import annotations

import gzip
import json
import logging
import lzma
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from indexing.errors import SettingError, UnreadableFile
from indexing.text.language_id import UNKNOWN, detect, detect_question
from qa_pipeline.datasets.language_codes import language_code, language_of_id, languages_of_name

PACKED = {b"\xfd7zXZ\x00": lzma.decompress, b"\x1f\x8b": gzip.decompress}
ENDINGS = (".json", ".jsonl", ".ndjson")
PACKED_ENDINGS = (".xz", ".gz")
NOWHERE = -1
QUESTIONS_OF_A_PAIR = 20

Reporter = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Gold:
    """A right answer. start: offset into the context in code points, -1 if unknown."""

    text: str
    start: int


@dataclass(frozen=True, slots=True)
class Example:
    """A question over one context. language: of the context; origin: file name. No golds: the context has no answer."""

    id: str
    question: str
    context: str
    golds: tuple[Gold, ...]
    language: str
    question_language: str
    title: str
    origin: str

    @property
    def is_impossible(self) -> bool:
        """Whether the context does not answer the question."""
        return not self.golds

    @property
    def wanted(self) -> tuple[str, ...]:
        """The texts of the right answers."""
        return tuple(gold.text for gold in self.golds)


def find_files(paths: Sequence[Path]) -> list[Path]:
    """The given files and the question files below the given folders, unique and sorted.

    Raises SettingError for a path that does not exist and for a folder without question files.
    """
    found: set[Path] = set()
    for path in paths:
        if path.is_dir():
            inside = {file for file in path.rglob("*") if file.is_file() and _has_ending(file)}
            if not inside:
                raise SettingError(f"The folder {path} holds no .json or .jsonl file (plain, .gz or .xz).")
            found |= inside
        elif path.is_file():
            found.add(path)
        else:
            raise SettingError(f"There is no file or folder {path}.")
    return sorted(found)


def read_examples(path: Path, tell: Reporter | None = None) -> list[Example]:
    """All questions of one file, in file order.

    tell: receives one sentence for each thing corrected or left out; None writes to the log. Raises UnreadableFile with
    the position in the file.
    """
    text = read_text(path)
    places = _rows(path.name, text)
    examples = list(_examples(path.name, places, tell or logging.getLogger(__name__).warning))
    _refuse_twins(path.name, examples)
    return examples


def read_text(path: Path) -> str:
    """A file's text, decompressed if it is xz or gzip. Raises UnreadableFile."""
    try:
        data = path.read_bytes()
        for mark, unpack in PACKED.items():
            if data.startswith(mark):
                data = unpack(data)
        return data.decode("utf-8-sig")
    except OSError as error:
        raise UnreadableFile(f"{path.name} cannot be read: {error.strerror or error}.") from error
    except (lzma.LZMAError, EOFError, zlib.error):
        raise UnreadableFile(f"{path.name} cannot be decompressed; copy it again.") from None
    except UnicodeDecodeError as error:
        raise UnreadableFile(f"{path.name} is not UTF-8 (byte {error.start:,}).") from None


# -- the two formats ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Row:
    """One question as the file states it. group: rows that share a language if the file states none."""

    place: str
    group: str
    title: str
    context: str
    qa: dict[str, Any]
    told: str
    question_told: str


def _rows(name: str, text: str) -> list[_Row]:
    """Every question of a file's text, with its position in the file. Raises UnreadableFile."""
    if not text.strip():
        raise UnreadableFile(f"{name} is empty.")
    try:
        whole = json.loads(text)
    except ValueError as error:
        if "\n" not in text.strip():
            raise UnreadableFile(f"{name} is not JSON: {error}.") from None
        return list(_flat(name, _lines(name, text)))
    if isinstance(whole, dict) and "data" in whole:
        return list(_nested(name, whole["data"]))
    rows = whole if isinstance(whole, list) else [whole]
    return list(_flat(name, ((f"row {n}", row) for n, row in enumerate(rows, start=1))))


def _lines(name: str, text: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield f"line {number}", json.loads(line)
            except ValueError as error:
                raise UnreadableFile(f"{name}, line {number}, is not JSON: {error}.") from None


def _flat(name: str, rows: Iterator[tuple[str, Any]]) -> Iterator[_Row]:
    """Flat rows, each with one question and its context."""
    for place, row in rows:
        if not isinstance(row, dict):
            raise UnreadableFile(f"{name}, {place}, is not an object with id, question, context and answers.")
        context = _string(name, place, row, "context")
        told = _language(row)
        yield _Row(
            place, context, str(row.get("title") or ""), context, row, told, str(row.get("question_language") or told)
        )


def _nested(name: str, articles: Any) -> Iterator[_Row]:
    """SQuAD's nesting: articles contain paragraphs, which contain questions."""
    for a, article in enumerate(_list(name, "data", articles)):
        title = str(article.get("title") or "") if isinstance(article, dict) else ""
        for p, paragraph in enumerate(_list(name, f"data[{a}].paragraphs", _get(article, "paragraphs"))):
            place = f"data[{a}].paragraphs[{p}]"
            context = _string(name, place, paragraph, "context")
            told = _language(paragraph) or _language(article)
            for q, qa in enumerate(_list(name, f"{place}.qas", _get(paragraph, "qas"))):
                where = f"{place}.qas[{q}]"
                if not isinstance(qa, dict):
                    raise UnreadableFile(f"{name}, {where}, is not an object with id, question and answers.")
                yield _Row(where, f"article {a}", title, context, qa, told, _language(qa) or told)


def _get(holder: Any, key: str) -> Any:
    return holder.get(key) if isinstance(holder, dict) else None


def _list(name: str, place: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise UnreadableFile(f"{name} has no list at {place}; it must be SQuAD JSON, or rows of questions.")
    return value


def _string(name: str, place: str, holder: Any, key: str) -> str:
    value = _get(holder, key)
    if not isinstance(value, str) or not value.strip():
        raise UnreadableFile(f"{name}, {place}, has no {key}.")
    return value


def _language(holder: Any) -> str:
    """The language code that a row states, "" if none."""
    return language_code(str(_get(holder, "lang") or _get(holder, "language") or ""))


# -- questions ---------------------------------------------------------------------------------------------------------


def _examples(name: str, rows: Sequence[_Row], tell: Reporter) -> Iterator[Example]:
    of_name = languages_of_name(name)
    detected = _detected([row for row in rows if not row.told and not of_name])
    moved = 0
    found: list[Example] = []
    for row in rows:
        id = row.qa.get("id")
        if not isinstance(id, str | int) or isinstance(id, bool) or not str(id):
            raise UnreadableFile(f"{name}, {row.place}, has no id.")
        question = _string(name, row.place, row.qa, "question")
        golds = [_placed(name, row, *answer, tell) for answer in _answers(name, row)]
        moved += sum(was_moved for _, was_moved in golds)
        language, asked_in = _languages(row, str(id), of_name, detected)
        golds_only = tuple(gold for gold, _ in golds)
        found.append(Example(str(id), question, row.context, golds_only, language, asked_in, row.title, name))
    if moved:
        tell(f"{name}: {moved:,} answers were not at their offsets; each was moved to its nearest occurrence.")
    yield from _with_question_languages(found)


def _with_question_languages(examples: Sequence[Example]) -> Iterator[Example]:
    """Fills in missing question languages ("") by language detection.

    Detection is unreliable on names and short questions. So a detected language that differs from the context's counts only
    if it is frequent. It needs QUESTIONS_OF_A_PAIR questions of the file, or half of those over contexts in that language.
    """
    asked = [e.question_language or _asked_in(e.question, e.language) for e in examples]
    open_ = [(e.language, told) for e, told in zip(examples, asked, strict=True) if not e.question_language]
    pairs, contexts = Counter(open_), Counter(language for language, _ in open_)
    for example, told in zip(examples, asked, strict=True):
        count = pairs[example.language, told]
        sure = example.question_language or count >= QUESTIONS_OF_A_PAIR or 2 * count >= contexts[example.language]
        yield replace(example, question_language=told if sure else example.language)


def _asked_in(question: str, language: str) -> str:
    """The detected language of a question; that of its context if it is not known."""
    found = detect_question(question, (language,))
    return language if found == UNKNOWN else found


def _languages(row: _Row, id: str, of_name: tuple[str, str] | None, detected: dict[str, str]) -> tuple[str, str]:
    """Language of context and question ("": to be detected); sources in order: row, file name, id, detection."""
    if row.told:
        return row.told, language_code(row.question_told)
    if of_name:
        return of_name[0], language_code(row.question_told) or of_name[1]
    by_id = language_of_id(id)
    return (by_id, by_id) if by_id else (detected[row.group], language_code(row.question_told))


def _detected(rows: Sequence[_Row]) -> dict[str, str]:
    """The majority language of each group's contexts."""
    votes: dict[str, Counter[str]] = {}
    for group, context in dict.fromkeys((row.group, row.context) for row in rows):
        votes.setdefault(group, Counter())[detect(context).language] += 1
    return {group: counts.most_common(1)[0][0] for group, counts in votes.items()}


def _answers(name: str, row: _Row) -> Iterator[tuple[str, int]]:
    """Text and start of each answer, from a list of objects or from the two columns (text, answer_start) of some exports."""
    given = row.qa.get("answers", [] if row.qa.get("is_impossible") is True else None)
    if isinstance(given, dict):
        texts, starts = given.get("text"), given.get("answer_start")
        if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
            raise UnreadableFile(f"{name}, {row.place}, has answers whose texts and starts do not pair.")
        given = [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
    if not isinstance(given, list):
        raise UnreadableFile(f"{name}, {row.place}, has no list of answers (an empty one where there is none).")
    for answer in given:
        text = _string(name, f"{row.place}.answers", answer, "text")
        start = _get(answer, "answer_start")
        if isinstance(start, bool) or not isinstance(start, int | None):
            raise UnreadableFile(f"{name}, {row.place}, has an answer_start that is no whole number.")
        yield text, NOWHERE if start is None else start


def _placed(name: str, row: _Row, text: str, start: int, tell: Reporter) -> tuple[Gold, bool]:
    """The answer at an offset where the context has it, and whether that differs from the file's offset."""
    if start < 0 or row.context[start : start + len(text)] == text:
        return Gold(text, max(start, NOWHERE)), False
    nearest = nearest_occurrence(row.context, text, start)
    if nearest == NOWHERE:
        tell(f"{name}, {row.place}: the context does not hold the answer {text[:60]!r}; it is scored without a place.")
    return Gold(text, nearest), nearest != NOWHERE


def nearest_occurrence(context: str, text: str, start: int) -> int:
    """Start of the occurrence of `text` nearest to `start`, the earlier one of a tie; -1 if there is none.

    >>> nearest_occurrence("to be or not to be", "be", 12)
    16
    """
    before = context.rfind(text, 0, max(start, 0) + len(text))
    after = context.find(text, max(start, 0))
    if before < 0 or after < 0:
        return max(before, after)
    return before if start - before <= after - start else after


def _refuse_twins(name: str, examples: Sequence[Example]) -> None:
    twice = [id for id, count in Counter(example.id for example in examples).items() if count > 1]
    if twice:
        raise UnreadableFile(f"{name} gives the id {twice[0]!r} to more than one question; every id must be its own.")


def _has_ending(path: Path) -> bool:
    name = path.name.lower()
    for ending in PACKED_ENDINGS:
        name = name.removesuffix(ending)
    return name.endswith(ENDINGS)
