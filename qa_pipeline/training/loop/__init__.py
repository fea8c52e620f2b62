"""The training loop shared by all models: recipes, updates, checkpoints, run folder, and provenance."""
