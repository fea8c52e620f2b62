"""Messages of errors as clients may read them: files of the home are HOME/..., without the paths of this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from indexing.errors import DocqaError


def public_message(message: str, home: Path) -> str:
    """A message in which the path of the home is HOME.

    >>> public_message("The index in /srv/h/corpora/a/index is damaged.", Path("/srv/h"))
    'The index in HOME/corpora/a/index is damaged.'
    """
    for path in {str(home.absolute()), str(home.resolve()), str(home)}:
        before_path, after_path = r"(?<![\w./\\-])", rf"(?=[{re.escape(os.sep)}/])"
        message = re.sub(before_path + re.escape(path) + after_path, "HOME", message)
    return message


@contextmanager
def public_messages(home: Path) -> Iterator[None]:
    """Every DocqaError of the block has its public message."""
    try:
        yield
    except DocqaError as error:
        error.args = (public_message(str(error), home), *error.args[1:])
        raise
