"""Remarks on the members of a container, folded: a thousand pictures in a mailbox are one line of its report."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

MOST_KINDS = 20
_MORE = "more remarks"
_COUNTED = re.compile(rf"([\d,]+) (characters of (?:hidden|struck-out) text (?:not )?read|{_MORE})(?: on messages)?")
_LIKE = re.compile(r" \(and ([\d,]+) more like this\)$")
_DIGITS = re.compile(r"\d+")


@dataclass(slots=True)
class _Remark:
    first: str
    more: int

    def __str__(self) -> str:
        return f"{self.first} (and {self.more:,} more like this)" if self.more else self.first


class Remarks:
    """Remarks by kind: the first of each with its place, and how many are like it.

    Remarks are of one kind if they differ in their place or in numbers only. So a rare remark is seen among many others.
    Counts of characters are added up; behind `MOST_KINDS` kinds, remarks are counted.

    >>> found = Remarks()
    >>> found.add("a.zip", "encrypted")
    >>> for number in range(3): found.add(f"{number}.eml", f"not read: image{number}.png")
    >>> found.told()
    ('a.zip: encrypted', '0.eml: not read: image0.png (and 2 more like this)')
    """

    def __init__(self, before: Iterable[str] = (), place: re.Pattern[str] | None = None) -> None:
        """before: what `told` returned for earlier members, to go on from. place: matches the places of those."""
        self._sums: dict[str, int] = {}
        self._kinds: dict[str, _Remark] = {}
        for note in before:
            found = place.match(note) if place else None
            self.add(found[0].removesuffix(": ") if found else "", note[found.end() :] if found else note)

    def add(self, place: str, note: str) -> None:
        """A remark on the member at `place`."""
        if counted := _COUNTED.fullmatch(note):
            self._sums[counted[2]] = self._sums.get(counted[2], 0) + _number(counted[1])
            return
        like = _LIKE.search(note)
        more = _number(like[1]) if like else 0
        note = note[: like.start()] if like else note
        kind = _DIGITS.sub("#", note)
        if (known := self._kinds.get(kind)) is not None:
            known.more += 1 + more
        elif len(self._kinds) < MOST_KINDS:
            self._kinds[kind] = _Remark(f"{place}: {note}" if place else note, more)
        else:
            self._sums[_MORE] = self._sums.get(_MORE, 0) + 1 + more

    def told(self) -> tuple[str, ...]:
        """One remark for each kind, in the order of their first, and the sums."""
        return (*map(str, self._kinds.values()), *(f"{count:,} {what}" for what, count in self._sums.items()))


def _number(digits: str) -> int:
    return int(digits.replace(",", ""))
