"""Learns from labelled questions what a reader's scores mean, and how much retrieval evidence counts."""
