"""From answer spans to a verdict: calibration, evidence weights, distinct answers, and the no-answer verdict."""
