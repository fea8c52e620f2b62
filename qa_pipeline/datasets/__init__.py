"""Question-answering data sets: readers and writers for SQuAD files, statistics, and leak-free train/test splits."""
