"""Metrics as pure functions: SQuAD and MLQA scorers, ranking, no-answer detection, calibration error, bootstrap."""
