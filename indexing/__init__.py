"""Writes an index: a folder of documents in many languages becomes an index folder. Read `build.build_index` first: it is
the whole pipeline. Its stages are folders, in order: `files`, `text`, `models` and `store`.
"""
