"""The tables of the database of an index folder, and the number of their format."""

from __future__ import annotations

FORMAT = 1
# A passage with its vector takes about 2 KB: one to a page of SQLite's 4 KB, and seven to one of 16 KB.
PAGE_SIZE = 16_384
# Filters read these alone, not the texts and vectors beside. An index of an earlier docqa gets them from its next writer.
FILTER_INDEXES = (
    "CREATE INDEX IF NOT EXISTS chunks_filter ON chunks (document_id, language, page)",
    "CREATE INDEX IF NOT EXISTS documents_filter ON documents (source, id, content_hash)",
)

SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE documents (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    source TEXT NOT NULL UNIQUE,
    file TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    language TEXT NOT NULL,
    pages TEXT NOT NULL,
    headings TEXT NOT NULL,
    meta TEXT NOT NULL,
    length INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX documents_file ON documents (file);
CREATE INDEX documents_content ON documents (content_hash);
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    document_id TEXT NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL,
    language TEXT NOT NULL,
    page INTEGER,
    generation INTEGER NOT NULL,
    text TEXT NOT NULL,
    vector BLOB
);
CREATE INDEX chunks_generation ON chunks (generation);
CREATE INDEX chunks_language ON chunks (language);
CREATE TABLE deleted (id INTEGER PRIMARY KEY, generation INTEGER NOT NULL);
CREATE INDEX deleted_generation ON deleted (generation);
CREATE TABLE files (
    source TEXT PRIMARY KEY,
    content_hash TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    seen_ns INTEGER NOT NULL,
    reason TEXT NOT NULL,
    notes TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE labels (id TEXT PRIMARY KEY, label TEXT NOT NULL) WITHOUT ROWID;
"""
