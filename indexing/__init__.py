"""Room one, which writes: a folder of documents in many languages becomes an index folder.

Read `build.build_index` first: it is the whole way, from files to a searchable index, in one function. The other
modules are its stages, in order: `files` (a file's text), `language` (its language, sentences and search terms),
`chunks` (passages), `embed` (vectors), and `store` with `vectors` and `keywords` behind it (all of it, kept).
"""
