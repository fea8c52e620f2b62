"""Room two, which answers: a question and an index folder become ranked answers, each with its exact place.

Read `pipeline.QAPipeline.ask` first: retrieve passages, read them, reply. The doors (`cli`, and later an HTTP API and
Spark) speak only the values of `answers`.
"""
