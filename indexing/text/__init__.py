"""From plain text to passages: language identification, sentence splitting, chunking, and search terms."""
