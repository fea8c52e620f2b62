"""Evaluation of reading alone: every question is put to its own paragraph."""
