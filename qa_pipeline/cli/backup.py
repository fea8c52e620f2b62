"""Commands that copy an index or a home: `backup`, `restore`, `export`."""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from qa_pipeline.cli.output import ProgressBar, print_json, printable


def add_backup_verbs(verbs: Any) -> None:
    """Add the verbs."""
    for name, about, first in (
        ("backup", "copy an index or a home, also while it is in use", "SOURCE"),
        ("restore", "bring a backup back, after comparing every file with its checksum", "BACKUP"),
    ):
        verb = verbs.add_parser(name, help=about)
        verb.add_argument("source", metavar=first, type=Path)
        verb.add_argument(
            "to", metavar="TO", type=Path, help="a new folder" + (", or an earlier backup" * (name == "backup"))
        )
        verb.add_argument("--json", action="store_true")
        verb.set_defaults(run=_run, verb=name)
    verb = verbs.add_parser("export", help="write the documents of an index as JSON lines, with their original files")
    verb.add_argument("index", metavar="INDEX", type=Path)
    verb.add_argument("to", metavar="TO", type=Path, help="a new folder")
    verb.add_argument(
        "--filter",
        metavar="NAME=VALUE",
        dest="filters",
        action="append",
        default=[],
        help="only documents like this; again for more (same name: or, other name: and)",
    )
    verb.add_argument("--documents", metavar="FOLDER", type=Path, help="where the original files are")
    verb.add_argument("--json", action="store_true")
    verb.set_defaults(run=_export)


def _export(options: argparse.Namespace) -> int:
    from indexing.store.filters import parse_terms
    from qa_pipeline.service.export import export

    os.umask(0o077)
    with ProgressBar("export", "document") as bar:
        filters = parse_terms(options.filters)
        done = export(options.index, options.to, filters, documents=options.documents, progress=bar.update)
    if options.json:
        print_json(asdict(done))
        return 0
    print(f"{done.documents:,} documents, {done.passages:,} passages, {done.originals:,} original files in {options.to}.")
    for source in done.missing:
        print(f"without its original file: {printable(source)}")
    return 0


def _run(options: argparse.Namespace) -> int:
    from qa_pipeline.service import backup

    os.umask(0o077)
    act = backup.backup if options.verb == "backup" else backup.restore
    with ProgressBar(options.verb, "file") as bar:
        done = act(options.source, options.to, bar.update)
    if options.json:
        print_json(asdict(done))
    else:
        print(f"{done.files:,} files, {done.bytes:,} bytes in {options.to}; {done.copied:,} copied in this run.")
    return 0
