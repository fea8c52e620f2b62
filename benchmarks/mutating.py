"""Mutated inputs for every parser, in the sandbox: each ends in texts or in one sentence, and never takes anything with it.

Input number n of a format is the same in every run with one seed. So a run is continued, and a failing input made again.
Seeds are small files of each format. Bytes are flipped, cut, repeated and exchanged, and numbers become extreme. Inside
a zip container or a compressed file too, so that checksums do not keep parsers from the changes.

    python -m benchmarks.mutating --inputs 1000000 --state FOLDER        exit status 1 when anything was wrong

FOLDER keeps how far each format is, and every input that was wrong, crashed its parser, or took too long. The sandbox
contains a crash, which is listed. Wrong is an unexpected error, a reason that is no plain sentence, or a broken invariant.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import io
import json
import lzma
import random
import re
import sys
import tarfile
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from benchmarks import machine

EXAMPLES = machine.ROOT / "examples" / "corpus"
LIMITS = {"seconds": 10.0, "memory_mb": 512}
AT_ONCE = 100
CRASHED, SLOW = "the parser crashed", "not read within"
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
MARKS = (b"\0", b"<", b"&#xD800;", b"\xff\xfe", b"]]>", b"..", b"\xef\xbb\xbf", b"99999999999", b"-1", b"%", b"\r\n\r\n")

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
S = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
P = "http://schemas.openxmlformats.org/presentationml/2006/main"
A = "http://schemas.openxmlformats.org/drawingml/2006/main"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
OFFICE = "urn:oasis:names:tc:opendocument:xmlns"
SLIDE = f'<d:page xmlns:d="{OFFICE}:drawing:1.0"><d:frame><d:text-box><t:p>A slide</t:p></d:text-box></d:frame></d:page>'
MAIL = b"From: a@example.org\r\nTo: b@example.org\r\nSubject: =?utf-8?q?Bridge?=\r\nMIME-Version: 1.0\r\n"
MIXED = MAIL + (
    b'Content-Type: multipart/mixed; boundary="x"\r\n\r\n--x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nA bridge\r\n'
    b'--x\r\nContent-Type: text/html\r\n\r\n<p>The mine</p>\r\n--x\r\nContent-Disposition: attachment; filename="a.txt"\r\n'
    b"Content-Transfer-Encoding: base64\r\n\r\nVGhlIGhhcmJvdXI=\r\n--x--\r\n"
)


# -- seeds -------------------------------------------------------------------------------------------------------------


def seeds() -> dict[str, list[bytes]]:
    """Small files of each format, by suffix."""
    found: dict[str, list[bytes]] = {}
    for path in sorted(EXAMPLES.rglob("*.*")):
        found.setdefault(path.suffix[1:], []).append(path.read_bytes())
    text = b"The bridge opened in 1912.\nIt is 4.6 km long.\n"
    odf = '<o:document-content xmlns:o="%s:office:1.0" xmlns:t="%s:text:1.0" xmlns:b="%s:table:1.0"><o:body><o:%s>%s</o:%s>'
    odf += "</o:body></o:document-content>"
    bodies = {
        "odt": ("text", "text", '<t:h t:outline-level="1">Head</t:h><t:p>A <t:s t:c="3"/>bridge</t:p>'),
        "ods": ("spreadsheet", "spreadsheet", '<b:table b:name="T"><b:table-row><b:table-cell b:number-columns-repeated="2">'
                "<t:p>12</t:p></b:table-cell></b:table-row></b:table>"),
        "odp": ("presentation", "presentation", SLIDE),
    }  # fmt: skip
    for kind, (mime, body, inside) in bodies.items():
        parts = {"mimetype": f"application/vnd.oasis.opendocument.{mime}"}
        found[kind] = [packed({**parts, "content.xml": odf % (OFFICE, OFFICE, OFFICE, body, inside, body)})]
    found |= {
        "pptx": [package("ppt/presentation.xml", "presentationml.presentation", {
            "ppt/presentation.xml": f'<p:presentation xmlns:p="{P}" xmlns:r="{R}"><p:sldIdLst><p:sldId id="256" '
                                    'r:id="r1"/></p:sldIdLst></p:presentation>',
            "ppt/_rels/presentation.xml.rels": relations({"r1": ("slide", "slides/slide1.xml")}),
            "ppt/slides/slide1.xml": f'<p:sld xmlns:p="{P}" xmlns:a="{A}"><p:cSld><p:spTree><p:sp><p:txBody><a:p><a:r><a:t>'
                                     "A bridge</a:t></a:r></a:p></p:txBody></p:sp></p:spTree></p:cSld></p:sld>",
        })],
        "xlsx": [package("xl/workbook.xml", "spreadsheetml.sheet", {
            "xl/workbook.xml": f'<workbook xmlns="{S}" xmlns:r="{R}"><sheets><sheet name="T" sheetId="1" r:id="r1"/>'
                               "</sheets></workbook>",
            "xl/_rels/workbook.xml.rels": relations({"r1": ("worksheet", "worksheets/sheet1.xml"),
                                                     "r2": ("sharedStrings", "sharedStrings.xml")}),
            "xl/sharedStrings.xml": f'<sst xmlns="{S}"><si><t>Bridge</t></si></sst>',
            "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{S}"><sheetData><row r="1"><c r="A1" t="s"><v>0</v></c>'
                                        '<c r="B1"><v>1912.5</v></c></row></sheetData><mergeCells>'
                                        '<mergeCell ref="A1:B2"/></mergeCells></worksheet>',
        })],
        "epub": [packed({
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
                                      '<rootfile full-path="a.opf"/></rootfiles></container>',
            "a.opf": '<package xmlns="http://www.idpf.org/2007/opf"><manifest><item id="c" href="c.xhtml" '
                     'media-type="application/xhtml+xml"/></manifest><spine><itemref idref="c"/></spine></package>',
            "c.xhtml": "<html xmlns='http://www.w3.org/1999/xhtml'><body><h1>One</h1><p>A bridge.</p></body></html>",
        })],
        "csv": [b'name,year\n"Bridge, old",1912\nMine,"19\n74"\n', "näme;1,5\nÄ;2\n".encode("latin-1")],
        "tsv": [b"name\tyear\nBridge\t1912\n"],
        "json": [b'{"text": "The bridge", "year": 1912, "list": [1, {"a": null}]}'],
        "jsonl": [b'{"text": "The bridge", "meta": {"a": 1}}\n{"text": "The mine"}\n'],
        "rtf": [rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}\f0 The \b bridge\b0 \u1234? \'e4\par {\*\x y}Two\par}"],
        "eml": [MAIL + b"Content-Type: text/plain; charset=utf-8\r\n\r\nThe bridge opened.\r\n", MIXED],
        "mbox": [b"From a@example.org Mon Jan  1 00:00:00 2024\n" + MIXED.replace(b"\r\n", b"\n") + b"\n"],
        "ics": [b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nSUMMARY:Bridge\r\nDTSTART:20240101T100000Z\r\n"
                b"DESCRIPTION:A\\, b\r\n c\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"],
        "zip": [packed({"a.txt": text.decode(), "b/c.csv": "a,b\n1,2\n"})],
        "tar": [tarred({"a.txt": text, "b/c.txt": text})],
        "gz": [gzip.compress(text, mtime=0)],
        "bz2": [bz2.compress(text)],
        "xz": [lzma.compress(text)],
    }  # fmt: skip
    return found


def packed(parts: Mapping[str, str | bytes]) -> bytes:
    """A zip container of these members."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return out.getvalue()


def tarred(parts: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in parts.items():
            facts = tarfile.TarInfo(name)
            facts.size = len(data)
            archive.addfile(facts, io.BytesIO(data))
    return out.getvalue()


def relations(targets: Mapping[str, tuple[str, str]]) -> str:
    rows = "".join(f'<Relationship Id="{id}" Type="{R}/{kind}" Target="{at}"/>' for id, (kind, at) in targets.items())
    return f'<Relationships xmlns="{PACKAGE}/relationships">{rows}</Relationships>'


def package(main: str, kind: str, parts: Mapping[str, str]) -> bytes:
    """An Office Open XML file."""
    content = f"application/vnd.openxmlformats-officedocument.{kind}.main+xml"
    types = f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="xml" ContentType="application/xml"/><Default '
    types += 'Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    types += f'<Override PartName="/{main}" ContentType="{content}"/></Types>'
    return packed({"[Content_Types].xml": types, "_rels/.rels": relations({"r0": ("officeDocument", main)}), **parts})


# -- mutations ---------------------------------------------------------------------------------------------------------


def mutated(files: list[bytes], draw: random.Random) -> bytes:
    """One of the files with random changes: to its bytes, or to what is packed inside it."""
    data = draw.choice(files)
    if draw.random() < 0.75:
        for magic, unpack, pack in PACKINGS:
            if data.startswith(magic):
                return pack(unpack(data), draw)
    return changed(data, draw)


def changed(data: bytes, draw: random.Random) -> bytes:
    """The bytes after one to six changes."""
    made = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 3, 6))):
        at = draw.randrange(len(made) + 1)
        size = min(len(made) - at, draw.choice((1, 2, 4, 16, 256, 4_096)))
        match draw.randrange(8):
            case 0 if size:
                made[at] ^= 1 << draw.randrange(8)
            case 1:
                del made[at : at + size]
            case 2:
                made[at:at] = made[at : at + size] * draw.choice((1, 2, 50))
            case 3:
                made[at : at + size] = draw.randbytes(size)
            case 4:
                width = draw.choice((1, 2, 4))
                made[at : at + width] = (draw.choice(NUMBERS) % 256**width).to_bytes(width, draw.choice(("little", "big")))
            case 5:
                made[at:at] = draw.choice(MARKS)
            case 6:
                other = draw.randrange(len(made) + 1)
                made[at : at + size] = made[other : other + size]
            case 7 if numbers := list(re.finditer(rb"\d+", bytes(made[:20_000]))):
                found = draw.choice(numbers)
                made[found.start() : found.end()] = str(draw.choice((-1, *NUMBERS, 10**30))).encode()
    return bytes(made)


def _zip_members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _zip_again(members: dict[str, bytes], draw: random.Random) -> bytes:
    name = draw.choice(sorted(members))
    return packed({**members, name: changed(members[name], draw)})


PACKINGS: tuple[tuple[bytes, Callable[[bytes], object], Callable[..., bytes]], ...] = (
    (b"PK\3\4", _zip_members, _zip_again),
    (b"\x1f\x8b", gzip.decompress, lambda data, draw: gzip.compress(changed(data, draw), mtime=0)),
    (b"BZh", bz2.decompress, lambda data, draw: bz2.compress(changed(data, draw))),
    (b"\xfd7zXZ", lzma.decompress, lambda data, draw: lzma.compress(changed(data, draw))),
)


def made_input(files: list[bytes], kind: str, number: int, seed: int = 1) -> bytes:
    """Input `number` of a format."""
    return mutated(files, random.Random(f"{seed} {kind} {number}"))


# -- judging -----------------------------------------------------------------------------------------------------------


class Mutations:
    """Parses mutated inputs and judges what comes back. counts: of inputs by outcome; failed: name and why."""

    def __init__(self, kinds: list[str] | None = None, seed: int = 1) -> None:
        from indexing.files.file_text import FileLimits
        from indexing.files.walk import FileReader

        found = seeds()
        self.files = {kind: found[kind] for kind in kinds or sorted(found)}
        self.seed = seed
        self.reader = FileReader(FileLimits(**LIMITS))  # type: ignore[arg-type]
        self.counts: Counter[str] = Counter()
        self.failed: list[tuple[str, str]] = []
        self.wrong = 0

    def __enter__(self) -> Mutations:
        return self

    def __exit__(self, *_: object) -> None:
        self.reader.close()

    def parse(self, kind: str, number: int) -> bytes | None:
        """Parse input `number` of a format. Returns it if it failed."""
        from indexing.errors import UnreadableFile

        data = made_input(self.files[kind], kind, number, self.seed)
        why, wrong = "", True
        try:
            texts = self.reader.parse(data, f"input.{kind}")
            why = "; ".join(problem for text in texts for problem in _text_problems(text))
            self.counts["read"] += 1
        except UnreadableFile as error:
            reason = str(error)
            self.counts["refused"] += 1
            wrong = not reason.startswith((CRASHED, SLOW))
            if not wrong or "\n" in reason or " object at 0x" in reason or "Traceback" in reason or not reason:
                why = reason
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
        if not why:
            return None
        self.wrong += wrong
        self.counts["wrong" if wrong else "contained"] += 1
        self.failed.append((f"{kind}-{self.seed}-{number}.{kind}", why))
        return data


def _text_problems(text: object) -> Iterator[str]:
    value, pages = text.text, text.pages  # type: ignore[attr-defined]
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        yield "a text with a lone surrogate"
    if list(pages) != sorted(pages) or any(not 0 <= page <= len(value) for page in pages):
        yield "pages outside the text"
    if any(not 0 <= start <= end <= len(value) for start, end, _ in text.headings):  # type: ignore[attr-defined]
        yield "a heading outside the text"


def _in_turn(kinds: Iterable[str], done: Mapping[str, int], inputs: int) -> Iterator[tuple[str, int]]:
    """(format, number) of what is left, AT_ONCE of each format in turn."""
    begins = {kind: done.get(kind, 0) for kind in kinds}
    for first in range(0, inputs, AT_ONCE):
        for kind, begin in begins.items():
            yield from ((kind, number) for number in range(begin + first, min(begin + first + AT_ONCE, inputs)))


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.mutating", description="Mutate files, parse them, and check.")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="for each format")
    parser.add_argument("--minutes", type=float, help="stop after so many; the next run continues")
    parser.add_argument("--format", action="append", choices=sorted(seeds()), help="default: all")
    parser.add_argument("--state", type=Path, help="folder of progress and failing inputs")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    print(machine.line(machine.facts()))
    began = time.monotonic()
    state = chosen.state or Path(tempfile.mkdtemp(prefix="docqa-mutating-"))
    state.mkdir(parents=True, exist_ok=True)
    at = state / f"progress-{chosen.seed}.json"
    done: dict[str, int] = json.loads(at.read_text("utf-8")) if at.is_file() else {}
    with Mutations(chosen.format, chosen.seed) as mutations:
        for kind, number in _in_turn(mutations.files, done, chosen.inputs):
            data = mutations.parse(kind, number)
            if data is not None:
                (state / mutations.failed[-1][0]).write_bytes(data)
                print(*mutations.failed[-1], file=sys.stderr, flush=True)
            done[kind] = number + 1
            if done[kind] % AT_ONCE == 0:
                at.write_text(json.dumps(done), encoding="utf-8")
            if chosen.minutes is not None and time.monotonic() - began > 60 * chosen.minutes:
                break
    at.write_text(json.dumps(done), encoding="utf-8")
    print(machine.table([{**mutations.counts, "formats": len(mutations.files), "seconds": time.monotonic() - began}]))
    print(f"progress and failing inputs: {state}")
    return 1 if mutations.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
