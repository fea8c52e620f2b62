"""Answers questions from an index folder: ranked answers, each with its exact place in the source.

Read `answering.answerer.Answerer.ask` first. Its stages are the packages `retrieval`, `reading` and `answering`. The entry
points are `cli`, `api` and `spark`.
"""
