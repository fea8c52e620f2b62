"""Readers made better: fine-tuning from question files, splits without leaks, more examples from the ones there are."""
