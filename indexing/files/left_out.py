"""Hidden and struck-out text of a document: left out and counted, or read where the index shall hold it."""

from __future__ import annotations

HIDDEN, STRUCK = "hidden", "struck-out"


class LeftOut:
    """Counts the characters of hidden and struck-out text. read: whether such text is read.

    >>> left_out = LeftOut()
    >>> left_out.omits(HIDDEN, "secret"), left_out.omits("", "shown"), left_out.remarks()
    (True, False, ['6 characters of hidden text not read'])
    """

    def __init__(self, read: bool = False) -> None:
        self.read = read
        self._counts = {HIDDEN: 0, STRUCK: 0}

    def omits(self, how: str, text: str) -> bool:
        """Whether a text is left out. how: HIDDEN, STRUCK or "" for text that is shown."""
        if how:
            self._counts[how] += len(text)
        return bool(how) and not self.read

    def remarks(self) -> list[str]:
        """Remarks on what is left out, or read although the document does not show it so."""
        end = "read" if self.read else "not read"
        return [f"{count:,} characters of {how} text {end}" for how, count in self._counts.items() if count]
