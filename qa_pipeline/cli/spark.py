"""The command `spark`. pyspark is imported only when it runs."""

from __future__ import annotations

import argparse
from typing import Any

from indexing.errors import SettingError
from indexing.settings import whole_number
from qa_pipeline.settings import PRECISIONS


def add_spark_verb(verbs: Any) -> None:
    """Add the verb with its options."""
    verb = verbs.add_parser("spark", help="answer the questions of a table, on a Spark cluster or on all cores here")
    verb.add_argument("what", choices=("read", "ask"), help="read: each row has its own text; ask: an index is asked")
    verb.add_argument("table", metavar="IN", help="a table with a question a row: .parquet, .csv or .jsonl")
    verb.add_argument("--into", metavar="OUT", required=True, help="the same with answers: .parquet, .csv or .jsonl")
    verb.add_argument("--question", metavar="COLUMN", default="question", help="column of the questions (question)")
    verb.add_argument("--context", metavar="COLUMN", default="context", help="with read: column of the texts (context)")
    verb.add_argument("--index", metavar="INDEX", help="with ask: the index folder, at this path on every machine")
    verb.add_argument("--answer", metavar="COLUMN", default="answer", help="column the answers are put into (answer)")
    verb.add_argument("--reader", metavar="NAME", help="preset, hub id or folder; `builtin` needs no download")
    verb.add_argument("--precision", default="auto", choices=PRECISIONS, help="how the reader computes (auto)")
    verb.add_argument("--top-k", type=int, metavar="N", help="answers of a row at most (read: 1, ask: 5)")
    verb.add_argument("--no-answer-threshold", type=float, metavar="P", help="give `no answer` above this score (0..1)")
    verb.add_argument("--master", metavar="URL", help="the cluster (spark-submit's, else local[*])")
    verb.add_argument("--partitions", type=int, metavar="N", help="parts the table is cut into (one a core at least)")
    verb.add_argument("--overwrite", action="store_true", help="replace OUT when it is there")
    verb.set_defaults(run=_spark)


def _spark(options: argparse.Namespace) -> int:
    from qa_pipeline.spark import dataframe

    if options.what == "ask" and not options.index:
        raise SettingError("`docqa spark ask` needs --index INDEX.")
    if options.partitions is not None:
        whole_number("partitions", options.partitions, 1, 1_000_000)
    for path in (options.table, options.into):
        dataframe.table_format(path)
    with dataframe.spark_session(options.master) as session, dataframe.sentences():
        frame = dataframe.repartition(session, dataframe.load(session, options.table), options.partitions)
        counts = dataframe.write(_answer(frame, options), options.into, options.answer, options.overwrite)
    rows, none, unasked = counts["rows"], counts["none"], counts["unasked"]
    print(
        f"{rows:,} rows: {rows - none - unasked:,} answered, {none:,} without an answer in the text,"
        f" {unasked:,} not asked (`reason` tells why)"
    )
    return 0 if rows > none + unasked else 1


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
