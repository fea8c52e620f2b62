"""More training questions from those there are: cloze questions, code switching, back translation, cross-lingual pairs, and
the removal of near duplicates.
"""
