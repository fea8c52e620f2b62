"""Recognised pages of a run, kept in the index folder until its end, so that a killed run reads no page again.

A page is known by its file's content, its number, and the engines and settings that read it. The run that ends clears all:
the index has the words then, and what was deleted meanwhile is gone.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from indexing.atomic_files import store_text
from indexing.ocr.words import RecognisedPage, page_of_dict

FOLDER = "recognised"


class PageCache:
    """Pages below a folder. key: names the engines and settings; pages read by others are not found. Thread-safe."""

    def __init__(self, folder: Path, key: str) -> None:
        self._folder = folder
        self._key = hashlib.blake2b(key.encode(), digest_size=8).hexdigest()

    def get(self, content: str, page: int) -> RecognisedPage | None:
        """The page of a file with this content hash; None if it is not there, or damaged."""
        try:
            return page_of_dict(json.loads(self._path(content, page).read_text("utf-8")))
        except (OSError, ValueError):
            return None

    def put(self, content: str, page: int, recognised: RecognisedPage) -> None:
        """Keep a page. Raises OSError, for instance if the disk is full."""
        path = self._path(content, page)
        path.parent.mkdir(parents=True, exist_ok=True)
        store_text(path, json.dumps(recognised.as_dict(), ensure_ascii=False))

    def _path(self, content: str, page: int) -> Path:
        return self._folder / content / f"{page}-{self._key}.json"


def clear_pages(folder: Path) -> bool:
    """Remove all pages below a folder, whoever read them. Returns whether none is left."""
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()
