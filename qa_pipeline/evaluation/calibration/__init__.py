"""Fits calibration (Platt scaling) and evidence weights on labelled questions."""
