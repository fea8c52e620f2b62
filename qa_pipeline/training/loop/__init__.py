"""The training loop of every model: recipes, updates, checkpoints, the run's folder and its provenance."""
