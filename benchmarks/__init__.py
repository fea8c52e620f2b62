"""Benchmarks of speed, memory and robustness, compared with stock Haystack and other engines; see `README.md`.

Each module is a command, such as `python -m benchmarks.indexing`; `benchmarks.corpus` generates the texts. docqa itself
imports nothing from this package.
"""
