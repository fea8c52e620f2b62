"""The command `spark`. pyspark is imported only when it runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from indexing.errors import SettingError
from indexing.settings import whole_number
from qa_pipeline.settings import PRECISIONS


def add_spark_verb(verbs: Any) -> None:
    """Add the verb with its options."""
    verb = verbs.add_parser("spark", help="answer the questions of a table, or index files, on a Spark cluster")
    words = "read: each row has its own text; ask: an index is asked; index: files become an index; split: an index in parts"
    verb.add_argument("what", choices=("read", "ask", "index", "split"), help=words)
    table = "a table with a question a row: .parquet, .csv or .jsonl; with index: folders of documents; with split: an index"
    verb.add_argument("table", metavar="IN", nargs="+", help=table)
    out = "the table with answers: .parquet, .csv or .jsonl; with index, split: the new folder"
    verb.add_argument("--into", metavar="OUT", required=True, help=out)
    verb.add_argument("--question", metavar="COLUMN", default="question", help="column of the questions (question)")
    verb.add_argument("--context", metavar="COLUMN", default="context", help="with read: column of the texts (context)")
    verb.add_argument(
        "--index", metavar="INDEX", help="with ask: the index folder or its parts, at this path on every machine"
    )
    verb.add_argument("--parts", type=int, metavar="N", help="with split: how many parts")
    verb.add_argument("--answer", metavar="COLUMN", default="answer", help="column the answers are put into (answer)")
    verb.add_argument("--reader", metavar="NAME", help="preset, hub id or folder; `builtin` needs no download")
    verb.add_argument("--precision", default="auto", choices=PRECISIONS, help="how the reader computes (auto)")
    verb.add_argument("--top-k", type=int, metavar="N", help="answers of a row at most (read: 1, ask: 5)")
    verb.add_argument("--no-answer-threshold", type=float, metavar="P", help="give `no answer` above this score (0..1)")
    verb.add_argument("--master", metavar="URL", help="the cluster (spark-submit's, else local[*])")
    verb.add_argument("--partitions", type=int, metavar="N", help="parts the table is cut into (one a core at least)")
    verb.add_argument("--overwrite", action="store_true", help="replace OUT when it is there")
    verb.add_argument("--embedder", metavar="NAME", help="with index: preset, hub id or folder")
    verb.add_argument("--chunk-tokens", type=int, metavar="N", help="with index: tokens of a passage at most (200)")
    verb.add_argument("--vectors", choices=("auto", "flat", "hnsw", "ivfpq"), help="with index: kind of FAISS index (auto)")
    verb.add_argument("--tiers", choices=("both", "token", "sentence"), help="with index: as in `docqa index`")
    verb.add_argument("--hidden-text", action="store_true", help="with index: as in `docqa index`")
    verb.add_argument("--work", metavar="PLACE", help="with index: where executors write for the driver (beside OUT)")
    verb.set_defaults(run=_spark)


def _spark(options: argparse.Namespace) -> int:
    if options.what == "index":
        return _index(options)
    if options.what == "split":
        return _split(options)
    from qa_pipeline.spark import dataframe

    if len(options.table) > 1:
        raise SettingError(f"`docqa spark {options.what}` reads one table; it was given {len(options.table)}.")
    table = options.table[0]
    if options.what == "ask" and not options.index:
        raise SettingError("`docqa spark ask` needs --index INDEX.")
    if options.partitions is not None:
        whole_number("partitions", options.partitions, 1, 1_000_000)
    for path in (table, options.into):
        dataframe.table_format(path)
    with dataframe.spark_session(options.master) as session, dataframe.sentences():
        frame = dataframe.repartition(session, dataframe.load(session, table), options.partitions)
        counts = dataframe.write(_answer(frame, options), options.into, options.answer, options.overwrite)
    rows, none, unasked = counts["rows"], counts["none"], counts["unasked"]
    print(
        f"{rows:,} rows: {rows - none - unasked:,} answered, {none:,} without an answer in the text,"
        f" {unasked:,} not asked (`reason` tells why)"
    )
    return 0 if rows > none + unasked else 1


def _split(options: argparse.Namespace) -> int:
    from indexing.deepen import coverage
    from indexing.store.corpus_db import IndexFolder
    from indexing.store.parts import split_index
    from qa_pipeline.retrieval.language_bias import SAMPLE

    if len(options.table) > 1 or options.parts is None:
        raise SettingError("`docqa spark split` needs one index and --parts N.")
    count = whole_number("parts", options.parts, 1, 10_000)
    with IndexFolder.open(Path(options.table[0])) as folder:
        deepened = coverage(folder)
    made = split_index(Path(options.table[0]), Path(options.into), count, SAMPLE, deepened)
    print(f"{made.count:,} parts in {made.path}")
    return 0


def _index(options: argparse.Namespace) -> int:
    from qa_pipeline.cli.index import deepen, index_settings, print_report
    from qa_pipeline.cli.output import IndexingProgress
    from qa_pipeline.spark import dataframe
    from qa_pipeline.spark.indexing import index_paths

    options.into = Path(options.into)
    settings = index_settings(options)
    with IndexingProgress() as shown, dataframe.spark_session(options.master) as session, dataframe.sentences():
        report = index_paths(session, options.table, options.into, settings, work=options.work, progress=shown.file)
    print_report(report)
    deepen(options.into)
    return 0 if report.passages else 1


def _answer(frame: Any, options: argparse.Namespace) -> Any:
    from indexing.models.presets import DEFAULT_READER
    from qa_pipeline.settings import AskSettings
    from qa_pipeline.spark import dataframe

    how = {"question": options.question, "into": options.answer, "precision": options.precision}
    how["reader"] = options.reader or DEFAULT_READER
    threshold = options.no_answer_threshold
    if options.what == "read":
        return dataframe.answer(
            frame, context=options.context, top_k=options.top_k or 1, no_answer_threshold=threshold, **how
        )
    settings = AskSettings(top_k=options.top_k or 5, no_answer_threshold=threshold)
    return dataframe.ask(frame, options.index, settings=settings, **how)
