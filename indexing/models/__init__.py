"""From a model's name to a model: the registry, safety checks before loading, the Hugging Face hub, and the embedders that
turn text into vectors.
"""
