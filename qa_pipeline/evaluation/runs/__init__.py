"""Shared by all runs: the results folder, stored predictions, question records, and plots."""
