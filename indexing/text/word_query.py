"""The language of search by words: how a query is parsed, and which texts match.

    bridge harbour          both words, anywhere in one passage
    "old bridge"            these words in this order
    bridg*                  words that begin so
    bridge NEAR/5 harbour   with at most five words between them, in either order
    a AND b, a OR b, NOT c  capital letters; NOT binds first, then NEAR, AND, OR; brackets group
    language:de             a field of the document: language, source, page, type, or any field of its metadata;
                            `*` stands for any characters, and quotes are put around a value with spaces

Words are compared as `word_tokens` folds them: without case and accents, in every script. Where a script has no spaces, a
word is found wherever its characters stand together. A phrase is found within one passage.
"""

from __future__ import annotations

import functools
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from indexing.errors import SettingError
from indexing.text.literal_match import patterns
from indexing.text.search_terms import DENSE
from indexing.text.word_tokens import Keys, Token, keys, query_tokens

MOST_CHARACTERS = 2_000
MOST_DEPTH = 50
MOST_DISTANCE = 100
PARTS = re.compile(
    r'\s+|(?P<field>[^\W\d]\w*):(?P<value>"[^"]*"|[^\s()"]+)|(?P<phrase>["“”„][^"“”„]*["“”])|(?P<near>NEAR/(?P<by>\d+)(?=[\s(]|$))'
    r"|(?P<sign>[()])|(?P<word>[^\s()\"“”„]+)|(?P<open>[\"“”„])"
)
OPERATORS = ("AND", "OR", "NOT")


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words in this order; one word is a phrase of one. prefix: the last word may go on."""

    words: tuple[Token, ...]
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Near:
    """Two phrases with at most `by` words between them, in either order."""

    left: Phrase
    right: Phrase
    by: int


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the document with this value; `*` stands for any characters."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Not:
    part: Node


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple[Node, ...]


Node = Phrase | Near | Field | Not | And | Or
Span = tuple[int, int]
IsField = Callable[[Field], bool]


# -- parsing -----------------------------------------------------------------------------------------------------------


def parse(query: str) -> Node:
    """The parsed query. Raises SettingError for a query that is empty, too long, or not of the language.

    >>> isinstance(parse('"old bridge" OR tow*'), Or), parse("bridge").words[0].key
    (True, 'bridge')
    """
    if len(query) > MOST_CHARACTERS:
        raise SettingError(f"The words have {len(query):,} characters; {MOST_CHARACTERS:,} are the most.")
    parser = _Parser(list(_lexed(query)))
    found = parser.any_of(0)
    if parser.at < len(parser.parts):
        raise SettingError("A closing bracket has no opening one; remove it, or put the words in quotes.")
    return found


Part = tuple[str, str, str]


def _lexed(query: str) -> Iterator[Part]:
    """(kind, text, value) of each part: "(", ")", AND, OR, NOT, near, field, phrase or word. Punctuation is no word."""
    for match in PARTS.finditer(query):
        kind, text = match.lastgroup, match[0]
        if match["field"]:
            yield "field", match["field"], match["value"].strip('"')
        elif match["near"]:
            yield "near", text, match["by"]
        elif kind == "phrase":
            yield "phrase", text[1:-1], ""
        elif kind == "sign" or (kind == "word" and text in OPERATORS):
            yield text, text, ""
        elif kind == "word" and query_tokens(text):
            yield "word", text, ""
        elif kind == "open":
            raise SettingError("A quotation mark is not closed; add the closing one, or remove it.")


class _Parser:
    """Recursive descent over the parts of a query."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts, self.at = parts, 0

    def _next(self) -> str:
        return self.parts[self.at][0] if self.at < len(self.parts) else ""

    def any_of(self, depth: int) -> Node:
        """Alternatives, which OR separates."""
        if depth > MOST_DEPTH:
            raise SettingError(f"The words have more than {MOST_DEPTH} brackets in each other.")
        found = [self._all_of(depth)]
        while self._next() == "OR":
            self.at += 1
            found.append(self._all_of(depth))
        return found[0] if len(found) == 1 else Or(tuple(found))

    def _all_of(self, depth: int) -> Node:
        found = [self._one(depth)]
        while self._next() not in ("", ")", "OR"):
            if self._next() == "AND":
                self.at += 1
            found.append(self._one(depth))
        return found[0] if len(found) == 1 else And(tuple(found))

    def _one(self, depth: int) -> Node:
        negations = 0
        while self._next() == "NOT":
            self.at += 1
            negations += 1
        found = self._near(depth)
        return Not(found) if negations % 2 else found

    def _near(self, depth: int) -> Node:
        left = self._atom(depth)
        pairs: list[Near] = []
        while self._next() == "near":
            by = int(self.parts[self.at][2])
            self.at += 1
            right = self._atom(depth)
            if not isinstance(left, Phrase) or not isinstance(right, Phrase):
                raise SettingError("NEAR stands between words or phrases, not between brackets or fields.")
            if by > MOST_DISTANCE:
                raise SettingError(f"NEAR/{by} is too far; NEAR/{MOST_DISTANCE} is the most.")
            pairs.append(Near(left, right, by))
            left = right
        return left if not pairs else pairs[0] if len(pairs) == 1 else And(tuple(pairs))

    def _atom(self, depth: int) -> Node:
        kind = self._next()
        if kind in ("", ")", "AND", "OR", "near"):
            raise SettingError(_missing(self.parts, self.at))
        _, text, value = self.parts[self.at]
        self.at += 1
        if kind == "field":
            return Field(text, value)
        if kind == "(":
            found = self.any_of(depth + 1)
            if self._next() != ")":
                raise SettingError("A bracket is not closed; add the closing one, or remove it.")
            self.at += 1
            return found
        return _phrase(text, kind == "word")


def _missing(parts: Sequence[Part], at: int) -> str:
    if not parts:
        return "There are no words to search for."
    before = parts[at - 1][1] if at else ""
    there = parts[at][1] if at < len(parts) else ""
    place = f"after {before}" if before else f"before {there}"
    return f"A word is missing {place}; AND, OR, NOT and NEAR in capitals stand between words."


def _phrase(text: str, is_word: bool) -> Phrase:
    """The words of a phrase, or of what stands between spaces; a compound is a phrase of its parts."""
    prefix = is_word and text.endswith("*")
    words = tuple(query_tokens(text.rstrip("*") if prefix else text))
    if not words:
        raise SettingError(f"There is no word in {text!r}; search for letters or numbers.")
    return Phrase(words, prefix and DENSE.match(words[-1].key) is None)


# -- matching ----------------------------------------------------------------------------------------------------------


def match(node: Node, text: Sequence[Token], is_field: IsField = lambda field: False) -> list[Span] | None:
    """The places of the query's words in a text, as spans of code points in order; None if the text does not match.

    is_field: whether the text's document has a field with the value.
    """
    joined = {at for at, token in enumerate(text) if token.joined}
    words = _Words(Keys([token.key for token in text], joined))
    if not _holds(node, words, is_field):
        return None
    return merged([(text[first].start, text[last].end) for first, last in _places(node, words, is_field)])


def matches(node: Node, text: str, is_field: IsField = lambda field: False, *, by_pattern: bool = True) -> bool:
    """Whether a text matches, which takes less time than `match`.

    by_pattern: try the patterns of phrases first. They take some milliseconds to make, once a query.
    """
    return _holds(node, _Text(text) if by_pattern else _Words(keys(text)), is_field)


def merged(spans: Sequence[Span]) -> list[Span]:
    """The spans in order, without repetitions and without those inside others."""
    kept: list[Span] = []
    for start, end in sorted(set(spans), key=lambda span: (span[0], -span[1])):
        if not kept or end > kept[-1][1]:
            kept.append((start, end))
    return kept


class _Words:
    """The words of a text, and where phrases stand among them."""

    def __init__(self, text: Keys) -> None:
        self.keys, self.joined = text
        self.present = frozenset(self.keys)

    def positions(self, key: str, prefix: bool) -> list[int]:
        """The positions of a word, ascending."""
        if prefix:
            return [at for at, word in enumerate(self.keys) if word.startswith(key)]
        return [at for at, word in enumerate(self.keys) if word == key] if key in self.present else []

    def has(self, phrase: Phrase) -> bool:
        """Whether a phrase occurs."""
        if len(phrase.words) == 1 and not phrase.prefix:
            return phrase.words[0].key in self.present
        return bool(self.places(phrase))

    def places(self, phrase: Phrase) -> list[Span]:
        """(first, last) position of each occurrence of a phrase, ascending."""
        words, last = phrase.words, len(phrase.words) - 1
        if not all(word.key in self.present for word in (words[:-1] if phrase.prefix else words)):
            return []
        found = []
        for at in self.positions(words[0].key, phrase.prefix and not last):
            if at + last < len(self.keys) and all(
                self._fits(at + n, words[n], phrase.prefix and n == last) for n in range(1, last + 1)
            ):
                found.append((at, at + last))
        return found

    def _fits(self, at: int, word: Token, prefix: bool) -> bool:
        there = self.keys[at]
        return (there.startswith(word.key) if prefix else there == word.key) and (at in self.joined or not word.joined)


class _Text:
    """A text whose words are found when they are needed first."""

    def __init__(self, text: str) -> None:
        self.text = text

    @functools.cached_property
    def words(self) -> _Words:
        return _Words(keys(self.text))

    def has(self, phrase: Phrase) -> bool:
        """As that of `_Words`."""
        certain = patterns(phrase.words, phrase.prefix).occurs(self.text) if "words" not in self.__dict__ else None
        return self.words.has(phrase) if certain is None else certain

    def places(self, phrase: Phrase) -> list[Span]:
        """As that of `_Words`."""
        return self.words.places(phrase)


def _holds(node: Node, words: _Words | _Text, is_field: IsField) -> bool:
    if isinstance(node, Phrase):
        return words.has(node)
    if isinstance(node, Near):
        return bool(_near(words.places(node.left), words.places(node.right), node.by))
    if isinstance(node, Field):
        return is_field(node)
    if isinstance(node, Not):
        return not _holds(node.part, words, is_field)
    return (all if isinstance(node, And) else any)(_holds(part, words, is_field) for part in node.parts)


def _places(node: Node, words: _Words, is_field: IsField) -> list[Span]:
    """The positions of what makes a text match, of a node that it matches."""
    if isinstance(node, Phrase):
        return words.places(node)
    if isinstance(node, Near):
        return _near(words.places(node.left), words.places(node.right), node.by)
    if isinstance(node, Field | Not):
        return []
    return [place for part in node.parts if _holds(part, words, is_field) for place in _places(part, words, is_field)]


def _near(left: Sequence[Span], right: Sequence[Span], by: int) -> list[Span]:
    """The occurrences of both phrases that are near one of the other, without overlap."""
    found: list[Span] = []
    starts = [first for first, _ in right]
    longest = max((last - first for first, last in right), default=0)
    for first, last in left:
        low = bisect_left(starts, first - by - longest - 1)
        for other in right[low:]:
            if other[0] > last + by + 1:
                break
            gap = other[0] - last - 1 if other[0] > last else first - other[1] - 1
            if 0 <= gap <= by:
                found += [(first, last), other]
    return found
