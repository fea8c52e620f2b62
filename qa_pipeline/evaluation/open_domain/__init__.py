"""Open-domain evaluation: retrieval from a whole corpus, then reading; and retrieval of paragraphs or sentences alone."""
