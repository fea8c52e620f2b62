"""PDF text beside poppler's: word recall and precision of each file of a collection.

    python -m benchmarks.pdf_text FOLDER [--worst 20] [--json FILE]

Recall: which part of the words of `pdftotext` docqa reads too; precision: which part of docqa's words `pdftotext` reads.
Words are compared as bags, after NFKC and case folding; characters of scripts without spaces count as words. Poppler is
no truth: it lacks form values and comments, and is wrong where its own words are. Needs `pdftotext` (poppler-utils).
"""

from __future__ import annotations

import argparse
import subprocess
import time
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median

import regex

from benchmarks import machine
from indexing.errors import UnreadableFile
from indexing.files.file_text import FileLimits
from indexing.files.walk import FileReader, FoundFile, find_files

_IGNORED = regex.compile(r"[\p{Cf}\p{Co}]")
_WORD = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]\p{M}*"
    r"|(?:(?![\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}])[\p{L}\p{N}\p{M}])+"
)
_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Compared:
    """One file. poppler, docqa, both: numbers of words; seconds: docqa's time; reason: why docqa skips it, or ""."""

    source: str
    poppler: int
    docqa: int
    both: int
    seconds: float
    reason: str = ""

    @property
    def recall(self) -> float:
        return self.both / self.poppler if self.poppler else 1.0

    @property
    def precision(self) -> float:
        return self.both / self.docqa if self.docqa else 1.0


def words(text: str) -> Counter[str]:
    """The words of a text as a bag.

    >>> sorted(words("The bridge: 橋").elements())
    ['bridge', 'the', '橋']
    """
    plain = unicodedata.normalize("NFKC", _IGNORED.sub("", text)).casefold()
    return Counter(_WORD.findall(plain))


def compare(file: FoundFile, reader: FileReader) -> Compared:
    """One file read by both."""
    theirs = words(_poppler(file.path))
    began = time.perf_counter()
    reason, text = "", ""
    try:
        text = "\n".join(part.text for part in reader.read(file)[0])
    except UnreadableFile as error:
        reason = str(error)
    seconds = time.perf_counter() - began
    ours = words(text)
    return Compared(file.source, theirs.total(), ours.total(), (theirs & ours).total(), seconds, reason)


def _poppler(path: Path) -> str:
    """The text of `pdftotext`; "" where it fails."""
    command = ["pdftotext", "-enc", "UTF-8", str(path), "-"]
    try:
        run = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return ""
    return run.stdout.decode("utf-8", "replace")


def compare_all(folder: Path) -> Iterator[Compared]:
    """Every PDF below a folder, by name."""
    with FileReader(FileLimits(seconds=_SECONDS)) as reader:
        for file in find_files(folder):
            if file.source.lower().endswith(".pdf"):
                yield compare(file, reader)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--worst", type=int, default=20, metavar="N", help="print the N files of lowest recall")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    facts = machine.facts(("pypdfium2",))
    print(machine.line(facts))
    found = list(compare_all(options.folder))
    read = [file for file in found if file.poppler and not file.reason]
    both = sum(file.both for file in read)
    summary = {
        "files": len(found),
        "with words in both": len(read),
        "recall of all words": both / max(1, sum(file.poppler for file in read)),
        "precision of all words": both / max(1, sum(file.docqa for file in read)),
        "mean recall of a file": mean([file.recall for file in read] or [1.0]),
        "median recall of a file": median([file.recall for file in read] or [1.0]),
        "files below .98": sum(file.recall < 0.98 for file in read),
        "skipped though poppler has words": sum(bool(file.reason and file.poppler) for file in found),
        "read though poppler has none": sum(bool(file.docqa and not file.poppler) for file in found),
        "seconds": sum(file.seconds for file in found),
    }
    for name, value in summary.items():
        print(f"{name}: {value:.4f}" if isinstance(value, float) else f"{name}: {value:,}")
    for file in sorted(found, key=lambda file: (file.recall, -file.poppler))[: options.worst]:
        print(f"{file.recall:.3f} {file.precision:.3f} {file.poppler:>7,} {file.source} {file.reason}")
    files = [asdict(file) | {"recall": file.recall, "precision": file.precision} for file in found]
    machine.finish(facts, {"summary": summary, "files": files}, options.json)


if __name__ == "__main__":
    main()
