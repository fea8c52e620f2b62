"""Answers questions from an index folder: ranked answers, each with its exact place in the source. Read
`pipeline.QAPipeline.ask` first. Its stages are folders: `retrieval`, `reading` and `answering`; users come in through `cli`,
`api` and `spark`.
"""
