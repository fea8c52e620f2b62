"""Question answering data sets: reading and writing files in SQuAD's shape, their statistics, and splits without leaks."""
