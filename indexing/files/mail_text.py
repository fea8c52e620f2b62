"""Plain text of mails as programs show it: flowed lines joined (RFC 3676), uuencoded files removed, enriched text read."""

from __future__ import annotations

import binascii
import re

from indexing.files.file_text import Member

_QUOTED = re.compile(r">*")
_SIGNATURE = "-- "
# No line of a file begins with "begin ", so a match ends before the next beginning, and a text without ends is read once.
_UUENCODED = re.compile(
    r"^begin(?:-base64)? [0-7]{3,4} ([^\r\n]+)\r?\n((?:(?!begin|(?:end|====)[ \t]*\r?$).*\n)*)(?:end|====)[ \t]*\r?$\n?",
    re.M,
)
_LONGEST_UU = 61
_PARAMETERS = re.compile(r"<param>[^<]*(?:<(?!/?param>)[^<]*)*</param>", re.I)
_ENRICHED = re.compile(r"<<|</?[A-Za-z][A-Za-z0-9-]{0,59}>|(?:\r?\n)+")


def unflowed(text: str, delete_space: bool) -> str:
    """Text with the lines joined that `format=flowed` broke. delete_space: whether the space at such a break is no space.

    >>> unflowed("The pier is \\n12 m deep.\\n> Who \\n> says?\\n-- \\nAda", False)
    'The pier is 12 m deep.\\n> Who says?\\n-- \\nAda'
    """
    lines: list[str] = []
    depth, open_line = 0, False
    for line in text.replace("\r\n", "\n").split("\n"):
        match = _QUOTED.match(line)
        quotes = match.end() if match else 0
        words = line[quotes:].removeprefix(" ")
        if open_line and quotes == depth and words != _SIGNATURE:
            begin = lines.pop()
            lines.append((begin[:-1] if delete_space else begin) + words)
        else:
            lines.append(f"{'>' * quotes} {words}" if quotes and words else ">" * quotes + words)
        depth, open_line = quotes, words.endswith(" ") and words != _SIGNATURE
    return "\n".join(lines)


def without_files(text: str) -> tuple[str, list[Member]]:
    """Text without the files that are uuencoded in it, and those files.

    >>> without_files("See\\nbegin 644 a.txt\\n#0V%T\\n`\\nend\\nit.")
    ('See\\nit.', [Member(name='a.txt', data=b'Cat', reason='')])
    """
    members: list[Member] = []

    def taken(match: re.Match[str]) -> str:
        lines = [line.rstrip("\r") for line in match[2].split("\n")]
        try:
            if match[0].startswith("begin-base64"):
                data = binascii.a2b_base64("".join(lines))
            else:
                data = b"".join(binascii.a2b_uu(line[:_LONGEST_UU]) for line in lines if line)
        except (binascii.Error, ValueError):
            return match[0]
        members.append(Member(match[1].strip(), data))
        return ""

    return (_UUENCODED.sub(taken, text) if "begin" in text else text), members


def enriched_text(text: str) -> str:
    """The words of text/enriched (RFC 1896): one line end is a space, each further one a line end.

    >>> enriched_text("<bold>The</bold> pier\\nis <<12 m.\\n\\nEnd")
    'The pier is <12 m.\\nEnd'
    """

    def shown(match: re.Match[str]) -> str:
        found = match[0]
        if found == "<<":
            return "<"
        return "" if found.startswith("<") else "\n" * (found.count("\n") - 1) or " "

    return _ENRICHED.sub(shown, _PARAMETERS.sub("", text))
