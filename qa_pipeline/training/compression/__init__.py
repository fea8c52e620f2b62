"""Model compression: pruning of layers and vocabulary, PCA of embeddings, and weight averaging."""
