"""Training of embedders: contrastive learning, static embeddings, sources of pairs, and co-occurrence counts."""
