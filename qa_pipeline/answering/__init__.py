"""From answer spans to a verdict: calibrated scores, weights of retrieval evidence, distinct answers, and whether there is
an answer at all.
"""
