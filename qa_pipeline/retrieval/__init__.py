"""From a question to passages: dense retrieval, BM25, late interaction over tokens, and the fusion of their scores."""
