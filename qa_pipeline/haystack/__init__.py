"""The Haystack integration: FARMReader, the retriever, and the two nodes of the pipeline.

Only this package and `indexing.store.haystack_store` import haystack.
"""
