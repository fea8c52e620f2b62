"""Evaluation over a whole corpus: retrieval, then reading; and retrieval of paragraphs or sentences alone."""
