"""The page's own key, for everybody who opens it: in DOCQA_API_KEY, or in the file that DOCQA_API_KEY_FILE names."""

from __future__ import annotations

import functools
import logging
import os
from pathlib import Path

LOG = logging.getLogger(__name__)
LONGEST = 1_000


def page_key() -> str:
    """The page's key; "" for none, so each person enters a key.

    A file is read again each time, so its key can be replaced. One that cannot be read is none, and is logged once.
    """
    key = os.environ.get("DOCQA_API_KEY", "").strip()
    file = os.environ.get("DOCQA_API_KEY_FILE", "").strip()
    if key or not file:
        return key
    try:
        with Path(file).open(encoding="utf-8") as opened:
            return opened.read(LONGEST).strip()
    except (OSError, ValueError) as error:
        _log(file, str(error.strerror) if isinstance(error, OSError) else "no UTF-8")
        return ""


@functools.cache
def _log(file: str, reason: str) -> None:
    """Logs a problem once, as the key is needed at each request."""
    LOG.warning("The key file %s cannot be read (%s); each person needs a key of their own.", file, reason)
