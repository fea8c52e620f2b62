"""Commands of an index: `index`, `status`, `show`, `doctor`; and `models`. Heavy modules load when a command runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexing.errors import SettingError
from qa_pipeline.cli.output import IndexingProgress, ProgressBar, percent, print_json, printable

if TYPE_CHECKING:
    from indexing.deepen import Deepened
    from indexing.models.presets import Preset
    from indexing.repair import Repaired
    from indexing.report import FileReport
    from indexing.settings import IndexSettings

OK, FAILED = 0, 2


def add_index_verb(verbs: Any) -> None:
    verb = verbs.add_parser("index", help="index a folder of documents, or bring its index up to date")
    verb.add_argument("documents", metavar="DOCUMENTS", type=Path, help="folder (or one file) to read")
    verb.add_argument("--into", metavar="INDEX", type=Path, required=True, help="folder of the index")
    verb.add_argument("--embedder", metavar="NAME", help="preset, hub id or folder; `builtin` needs no download")
    verb.add_argument("--chunk-tokens", type=int, metavar="N", help="tokens of a passage at most (200)")
    verb.add_argument("--vectors", choices=("auto", "flat", "hnsw", "ivfpq"), help="kind of FAISS index (auto)")
    verb.add_argument(
        "--tiers",
        choices=("both", "token", "sentence"),
        help="vectors of the built-in embedder: of tokens first and then of sentences (both), or of one kind",
    )
    verb.add_argument("--hidden-text", action="store_true", help="also read hidden and struck-out text of documents")
    verb.add_argument("--max-bytes", type=int, metavar="N", help="bytes of a file at most")
    verb.add_argument("--max-chars", type=int, metavar="N", help="characters of a document at most")
    verb.add_argument("--max-pages", type=int, metavar="N", help="pages of a document at most")
    verb.add_argument("--seconds", type=float, metavar="S", help="time to parse one file at most")
    verb.add_argument("--ocr", choices=("auto", "off", "force"), help="recognise text in pictures and scanned pages (auto)")
    verb.add_argument("--ocr-languages", metavar="CODES", help="languages in them, as de,fr; by default each page's script")
    verb.add_argument("--all", action="store_true", help="read every file again, also those of unchanged size and time")
    verb.add_argument("--emptied", action="store_true", help="go on if none of the files indexed before is left")
    verb.add_argument("--json", action="store_true", help="one object a file as soon as it is done, then one for the run")
    verb.set_defaults(run=_index)


def add_inspection_verbs(verbs: Any) -> None:
    status = verbs.add_parser("status", help="what is in an index")
    status.add_argument("index", metavar="INDEX", type=Path)
    status.add_argument("--documents", action="store_true", help="also every document with its id")
    status.add_argument("--json", action="store_true")
    status.set_defaults(run=_status)
    show = verbs.add_parser("show", help="the text of a document, or of a span of it")
    show.add_argument("index", metavar="INDEX", type=Path)
    show.add_argument("document", metavar="DOCUMENT_ID")
    show.add_argument("--start", type=int, default=0, metavar="N")
    show.add_argument("--end", type=int, default=None, metavar="N")
    show.add_argument("--json", action="store_true")
    show.set_defaults(run=_show)
    doctor = verbs.add_parser("doctor", help="check text, vectors, keyword index and FAISS against each other")
    doctor.add_argument("index", metavar="INDEX", type=Path)
    doctor.add_argument("--repair", action="store_true", help="repair in place, or save into a new folder what can be read")
    doctor.add_argument("--documents", metavar="FOLDER", type=Path, help="with --repair: where the indexed files are")
    doctor.add_argument("--into", metavar="FOLDER", type=Path, help="with --repair: the new folder (INDEX-salvaged)")
    doctor.add_argument("--compact", action="store_true", help="rewrite the index, so that nothing deleted stays on disk")
    doctor.add_argument("--json", action="store_true")
    doctor.set_defaults(run=_doctor)
    models = verbs.add_parser("models", help="the models with a name, and which can be loaded on this machine")
    models.add_argument("--json", action="store_true")
    models.set_defaults(run=_models)


def _index(options: argparse.Namespace) -> int:
    from indexing.build import build_index
    from indexing.files.file_text import FileLimits
    from indexing.ocr.settings import OcrSettings, languages_of

    settings = index_settings(options)
    names = ("max_bytes", "max_chars", "max_pages", "seconds")
    ocr = OcrSettings(options.ocr or "auto", languages_of(options.ocr_languages or ""))
    limits = FileLimits(**{name: getattr(options, name) for name in names if getattr(options, name) is not None})
    printed: set[str] = set()
    with IndexingProgress() as shown:

        def progress(file: FileReport, done: int, total: int) -> None:
            shown.file(file, done, total)
            if options.json:
                printed.add(file.source)
                print_json(_file_dict(file))
                sys.stdout.flush()

        report = build_index(
            options.documents,
            options.into,
            settings,
            limits=limits,
            progress=progress,
            embedding=shown.embedding,
            emptied=options.emptied,
            everything=options.all,
            ocr=ocr,
            recognising=shown.recognising,
        )
    if options.json:
        for file in report.files:
            if file.source not in printed:
                print_json(_file_dict(file))
    else:
        print_report(report)
    deepened = deepen(options.into)
    if options.json:
        told = {"sentence_vectors": deepened.deepened} if deepened else {}
        print_json({name: value for name, value in report.as_dict().items() if name != "files"} | told)
    elif deepened and deepened.added:
        print(f"{deepened.deepened:,} of {deepened.passages:,} passages with sentence vectors; {deepened.seconds:.1f} s")
    return OK


def index_settings(options: argparse.Namespace) -> IndexSettings | None:
    """The settings of `--embedder`, `--chunk-tokens`, `--vectors` and `--tiers`; None for those of an existing index."""
    from indexing.settings import ChunkSettings, IndexSettings
    from indexing.store.sqlite import DATABASE

    chosen = {"embedder": _embedder(options), "vectors": options.vectors, "tiers": options.tiers}
    values: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
    if options.hidden_text:
        values["hidden_text"] = True
    if options.chunk_tokens is not None:
        values["chunks"] = ChunkSettings(tokens=options.chunk_tokens)
    new = not (options.into / DATABASE).is_file()
    told = options.embedder or options.chunk_tokens or options.tiers or options.hidden_text
    return (IndexSettings(**values) if new else _of_existing(options.into, values)) if told or new else None


def _of_existing(index: Path, values: dict[str, Any]) -> IndexSettings:
    """The settings of an index, with the values that were given."""
    from dataclasses import replace

    from indexing.store.corpus_db import IndexFolder

    with IndexFolder.open(index) as folder:
        return replace(folder.settings, **values)


def _embedder(options: argparse.Namespace) -> str | None:
    """The embedder of a new index: of `--embedder`, or for `--tiers sentence` that of the second tier alone."""
    from indexing.models.presets import BUILTIN, PRESETS

    name: str | None = options.embedder
    if options.tiers and name is not None and name != BUILTIN:
        raise SettingError(f"--tiers is for the embedder {BUILTIN}; {name} has one kind of vectors.")
    return PRESETS["embedder", BUILTIN].second_tier if options.tiers == "sentence" else name


def deepen(index: Path) -> Deepened | None:
    """Add the sentence vectors that an index of two tiers lacks. It can be searched meanwhile, and the run stopped."""
    from indexing.deepen import deepen_index
    from indexing.store.corpus_db import IndexFolder
    from indexing.store.sentence_vectors import second_tier

    with IndexFolder.open(index) as folder:
        if not second_tier(folder):
            return None
    with ProgressBar("deepening", "passage") as bar:
        return deepen_index(index, progress=bar.update)


def _file_dict(file: FileReport) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(file)


def print_report(report: Any) -> None:
    """Print each file that is not unchanged, with the reason or its passages and notes, and the sums."""
    for file in report.files:
        if file.status == "unchanged":
            continue
        if file.status == "skipped":
            print(f"skipped    {printable(file.source)}: {printable(file.reason)}")
        else:
            print(f"{file.status:<10} {printable(file.source)}" + (_passage_count(file.passages) if file.passages else ""))
        for note in file.notes:
            print(f"           note: {printable(note)}")
    counts = [f"{report.count(s)} {s}" for s in ("indexed", "updated", "unchanged", "removed", "skipped") if report.count(s)]
    print(", ".join(counts) or "nothing to do")
    print(
        f"{report.documents:,} documents, {report.passages:,} passages in {len(report.languages)} languages"
        f" ({', '.join(report.languages)}); embedder {report.embedder}; generation {report.generation};"
        f" {report.seconds:.1f} s"
    )
    if not report.erased:
        print("The index is in use: what was deleted may stay on disk until the next `docqa index`.")


def _passage_count(passages: int) -> str:
    return f" ({passages:,} passage{'s' if passages > 1 else ''})"


def _status(options: argparse.Namespace) -> int:
    from indexing.deepen import coverage
    from indexing.store.corpus_db import IndexFolder

    with IndexFolder.open(options.index) as folder, folder.reading():
        deepened = coverage(folder)
        skipped = [record for record in folder.file_records().values() if record.reason]
        facts = {
            "index": str(options.index),
            **folder.counts(),
            "embedder": folder.model["name"],
            "dimension": folder.model["dimension"],
            "chunk_tokens": folder.settings.chunks.tokens,
            "vectors": folder.settings.vectors,
            "generation": folder.generation(),
            "deepened": deepened,
            "bytes": folder.size(),
            "skipped": [{"source": record.source, "reason": record.reason} for record in skipped],
        }
        rows = list(folder.document_rows()) if options.documents else []
    if options.json:
        names = ("id", "source", "language", "characters", "passages")
        print_json(facts | ({"list": [dict(zip(names, row, strict=True)) for row in rows]} if options.documents else {}))
        return OK
    print(
        f"{facts['documents']:,} documents, {facts['passages']:,} passages, {facts['characters']:,} characters;"
        f" {facts['bytes'] / 1e6:,.1f} MB on disk; generation {facts['generation']}"
    )
    print(f"embedder {facts['embedder']} ({facts['dimension']} dimensions); passages of {facts['chunk_tokens']} tokens")
    if deepened is not None:
        print(f"deepened {percent(deepened)}: so many passages have sentence vectors" + _how_to_deepen(deepened))
    print(f"{'language':<10}{'documents':>12}{'passages':>12}")
    for language, counts in facts["languages"].items():
        print(f"{language:<10}{counts['documents']:>12,}{counts['passages']:>12,}")
    for record in skipped:
        print(f"skipped {printable(record.source)}: {record.reason}")
    for row in rows:
        print(f"{row[0]}  {row[2]}  {row[3]:>9,} characters  {row[4]:>5} passages  {printable(row[1])}")
    return OK


def _how_to_deepen(deepened: float) -> str:
    return "" if deepened == 1 else "; `docqa index` adds the others"


def _show(options: argparse.Namespace) -> int:
    from indexing.store.copies import documents_with_text
    from indexing.store.corpus_db import IndexFolder

    with IndexFolder.open(options.index) as folder:
        document = folder.document(options.document)
        same = documents_with_text(folder, document.content_hash) if options.json else []
    end = len(document.text) if options.end is None else options.end
    if not 0 <= options.start <= end <= len(document.text):
        raise SettingError(f"--start and --end must lie in order between 0 and {len(document.text):,}.")
    text = document.text[options.start : end]
    if options.json:
        facts: dict[str, Any] = {"document_id": document.id, "source": document.source, "language": document.language}
        facts["also_in"] = [{"document_id": id, "source": source} for id, source in same if id != document.id]
        print_json({**facts, "content_hash": document.content_hash, "start": options.start, "end": end, "text": text})
    else:
        sys.stdout.write(text)
        if sys.stdout.isatty():
            sys.stdout.write("\n")
    return OK


def _doctor(options: argparse.Namespace) -> int:
    """Findings never end the command; its status is 2 while one is left."""
    from indexing.repair import Repaired, diagnose, repair_index

    before = _size(options.index)
    problems = diagnose(options.index)
    repaired = Repaired(left=tuple(problems))
    if options.repair and problems:
        repaired = repair_index(options.index, documents=options.documents, into=options.into)
    compacted = _compacted(options.index) if options.compact else None
    after = _size(options.index)
    if options.json:
        told = {"problems": problems, "repaired": options.repair, **_repair_dict(repaired)}
        print_json(told | ({"compacted": compacted, "bytes_before": before, "bytes": after} if options.compact else {}))
    else:
        for problem in problems:
            print(printable(problem))
        if options.repair:
            _print_repair(repaired)
        left = len(repaired.left)
        print("The index is sound." if not left else _advice(left, options.repair))
        if compacted is not None:
            print(f"Compacted: {before:,} bytes before, {after:,} now.")
        if compacted is False:
            print("The index is in use: what was deleted may stay on disk. Run the command again later.")
    return OK if not repaired.left and compacted is not False else FAILED


def _size(index: Path) -> int:
    return sum(path.stat().st_size for path in index.rglob("*") if path.is_file())


def _compacted(path: Path) -> bool:
    from indexing.store.index import Index

    with Index.open(path, writable=True) as index:
        return index.compact()


def _repair_dict(repaired: Repaired) -> dict[str, Any]:
    return {
        "left": list(repaired.left),
        "removed": list(repaired.removed),
        "read_again": list(repaired.read_again),
        "embedded": repaired.embedded,
        "into": None if repaired.into is None else str(repaired.into),
        "saved": repaired.saved,
        "lost": list(repaired.lost),
        "all_lost_named": repaired.named,
    }


def _print_repair(repaired: Repaired) -> None:
    for source in repaired.removed:
        again = "read again" if source in repaired.read_again else "removed, and read again by the next `docqa index`"
        print(f"{again}: {printable(source)}")
    if repaired.embedded:
        print(f"embedded again: {_passage_count(repaired.embedded).strip(' ()')}")
    if repaired.into is not None:
        print(f"The database cannot be repaired in place; {repaired.saved:,} documents were saved into {repaired.into}.")
        for source in repaired.lost:
            print(f"lost: {printable(source)}")
        if not repaired.named:
            print("Not everything that is lost has a name; `docqa index` into the new folder reads all files again.")
    for problem in repaired.left:
        print(f"left: {printable(problem)}")


def _advice(left: int, repaired: bool) -> str:
    counted = f"{left} problem{'s' if left > 1 else ''}"
    return f"{counted} left." if repaired else f"{counted}; `docqa doctor INDEX --repair` repairs what can be repaired."


def _models(options: argparse.Namespace) -> int:
    from indexing.models import embedder
    from indexing.models.hardware import has_gpu, this_machine
    from indexing.models.registry import available
    from qa_pipeline.reading import load

    engine_of = {"reader": load.engine_of, "embedder": embedder.engine_of}

    machine = this_machine("cuda" if has_gpu() else "cpu")
    auto = load.onnx_precision("auto", machine) or machine.auto()
    computing = {"precision": auto, "instruction_set": machine.instruction_set(auto)}
    for preset, here, why in available():
        engine = engine_of[preset.kind](preset.name) if here else ""
        if options.json:
            from dataclasses import asdict

            print_json({**asdict(preset), "available": here, "reason": why, "auto": computing, "engine": engine})
        else:
            _print_model(preset, "here" if here else "not here", f" ({why})" if why else "", engine)
    if not options.json:
        print(f"On this machine `--precision auto` computes in {auto} ({computing['instruction_set']}).")
    return OK


def _print_model(preset: Preset, state: str, why: str, engine: str) -> None:
    print(f"{preset.kind:<9} {preset.name:<18} {state:<9} {preset.model}")
    first, rest = preset.published[:3], preset.published[3:]
    for line in (
        f"{preset.about}{why}",
        f"licence: {preset.licence}; languages: {preset.languages}; parameters: {preset.parameters}",
        f"trained on: {preset.trained_on}",
        engine and f"computed with {engine}",
        first and f"by its card: {'; '.join(map(str, first))}" + (f"; {len(rest)} more with --json" if rest else ""),
        preset.spark_nlp and f"in Spark NLP: {preset.spark_nlp}",
    ):
        if line:
            print(f"{'':<38} {line}")
