"""The contents of an index folder: the SQLite database, the FAISS vector index, the BM25 keyword index, filters, and a
Haystack document store over them.
"""
