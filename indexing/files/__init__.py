"""From files to plain text with pages, headings and metadata: the walk over a folder, a sandboxed process for parsing, and
one parser for each format.
"""
