"""Which names are of hidden files: ".name", "~$name" and macOS's "__MACOSX". Folders of a Maildir are not."""

from __future__ import annotations

import re

_HIDDEN = re.compile(r"(?:^|/)(?:\.(?!\.?(?:/|$))|~\$)|^__MACOSX/|/__MACOSX/")
_MAILDIR = re.compile(r"(?:^|/)\.[^./~][^/]*/(?:cur|new)/(?=[^/.~][^/]*$)")


def is_hidden(name: str) -> bool:
    """Whether a file is hidden, by its name with "/" between parts.

    A folder of a Maildir ("Maildir++") begins with a dot and is none: its messages stand in `cur` and `new`.

    >>> is_hidden(".git/config"), is_hidden("mail/.Sent/cur/17.eml"), is_hidden("mail/.Sent/dovecot.index")
    (True, False, True)
    """
    return bool(_HIDDEN.search(_MAILDIR.sub("/", name)))
