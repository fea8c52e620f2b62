"""Trains readers and embedders: data, the training loop, and model cards."""
