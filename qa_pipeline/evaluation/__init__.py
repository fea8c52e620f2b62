"""Evaluation: metrics, runs over data sets, calibration, and the analysis of stored runs."""
