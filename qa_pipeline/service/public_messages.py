"""Messages of errors as clients may read them: files of the home are HOME/..., without the paths of this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from indexing.errors import DocqaError, ModelError

BEGINS = r"(?<![\w./\\:-])"
ENDS = rf"(?=[{re.escape(os.sep)}/])"
FOLDERS = re.compile(BEGINS + r"(?:/|[A-Za-z]:[\\/])(?:[^\s/\\'\",;()]+[\\/])+(?=[^\s/\\])")
"""The folders of an absolute path."""


def public_message(error: DocqaError, home: Path) -> str:
    """The message of an error, in which the path of the home is HOME, and a model in a folder has the folder's name.

    >>> from indexing.errors import IndexDamaged, ModelMissing
    >>> public_message(IndexDamaged("The index in /srv/h/corpora/a/index is damaged."), Path("/srv/h"))
    'The index in HOME/corpora/a/index is damaged.'
    >>> public_message(ModelMissing("There is no folder /srv/models/mine."), Path("/srv/h"))
    'There is no folder mine.'
    """
    message = str(error)
    for path in {str(home.absolute()), str(home.resolve()), str(home)}:
        message = re.sub(BEGINS + re.escape(path) + ENDS, "HOME", message)
    return FOLDERS.sub("", message) if isinstance(error, ModelError) else message


def make_public(error: DocqaError, home: Path) -> None:
    """Give an error its public message."""
    error.args = (public_message(error, home), *error.args[1:])


@contextmanager
def public_messages(home: Path) -> Iterator[None]:
    """Every DocqaError of the block has its public message."""
    try:
        yield
    except DocqaError as error:
        make_public(error, home)
        raise
