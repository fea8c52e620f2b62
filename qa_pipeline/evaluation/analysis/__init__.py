"""Looks into stored runs: their tables, what went wrong, and whether one run is better than another."""
