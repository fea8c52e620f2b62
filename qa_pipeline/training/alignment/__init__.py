"""Word alignment of parallel sentences: IBM Model 1, and the lexicons derived from it."""
