"""Commands that copy an index or a home: `backup`, `restore`."""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from qa_pipeline.cli.output import ProgressBar, print_json


def add_backup_verbs(verbs: Any) -> None:
    """Add both verbs."""
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
