"""The service without HTTP: the home folder, models and corpora kept open, jobs, API keys, feedback, admission and
metrics.
"""
