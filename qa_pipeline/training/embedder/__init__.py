"""Embedder training: contrastive learning, static embeddings, pair sources, and co-occurrence vectors."""
