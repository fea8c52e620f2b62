"""Analysis of stored runs: their tables, error analysis, and significance of the difference between two runs."""
