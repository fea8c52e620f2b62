"""What docqa costs and what it withstands, measured beside stock Haystack and other engines; read `README.md` first.

Each module is a command: `python -m benchmarks.indexing`, `.opening`, `.asking`, `.killing`; `.corpus` makes the texts.
Nothing here is imported by docqa itself.
"""
