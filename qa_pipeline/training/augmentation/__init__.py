"""Data augmentation: cloze questions, code-switching, back-translation, cross-lingual pairs, near-duplicate removal."""
