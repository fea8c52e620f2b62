"""The service without HTTP: home folder, model and corpus pools, jobs, API keys, feedback, admission control, metrics."""
