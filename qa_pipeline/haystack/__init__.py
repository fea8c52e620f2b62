"""What stands on Haystack: FARMReader, the retriever and the two nodes of the pipeline. Beside the document store, only this
folder imports haystack.
"""
