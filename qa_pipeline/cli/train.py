"""Commands of training: `train`, `split`, `augment` and model compression. Heavy modules load when a command runs."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexing.errors import SettingError
from qa_pipeline.cli.output import print_json

if TYPE_CHECKING:
    from qa_pipeline.training.loop.trainer import Progress

LINE_SECONDS = 30.0


def add_training_verbs(verbs: Any) -> None:
    """Add the verbs with their options."""
    _add_train(verbs)
    _add_prune(verbs)
    _add_average(verbs)
    _add_reduce(verbs)
    _add_split(verbs)
    _add_augment(verbs)


def _add_train(verbs: Any) -> None:
    verb = verbs.add_parser("train", help="fine-tune a reader, or an embedder, on question files")
    verb.add_argument("files", metavar="FILES", type=Path, nargs="+", help="question files, or folders of them")
    verb.add_argument("--preset", metavar="NAME", required=True, help="the recipe, by name")
    verb.add_argument("--into", metavar="FOLDER", type=Path, required=True, help="folder of the trained reader")
    verb.add_argument("--from", metavar="MODEL", dest="base", help="preset, hub id or folder to begin with (the recipe's)")
    verb.add_argument("--minutes", type=float, metavar="M", help="train that long at most")
    verb.add_argument("--limit", type=int, metavar="N", help="learn from so many questions at most")
    verb.add_argument("--epochs", type=int, metavar="N", help="times each question is seen (the recipe's)")
    verb.add_argument("--batch", type=int, metavar="N", help="windows of one update (the recipe's)")
    verb.add_argument("--learning-rate", type=float, metavar="R", help="highest learning rate (the recipe's)")
    verb.add_argument(
        "--held-out", type=int, default=100, metavar="N", help="questions of each language to measure on (100)"
    )
    verb.add_argument("--seed", type=int, default=1, metavar="N", help="for all that is drawn (1)")
    verb.add_argument("--checkpoint-seconds", type=float, default=120.0, metavar="S", help="time between checkpoints (120)")
    verb.add_argument("--teacher", metavar="NAME", help="a larger reader to learn from as well")
    verb.add_argument("--temperature", type=float, default=2.0, metavar="T", help="how soft its scores are taken (2)")
    verb.add_argument("--parallel", metavar="DIR", type=Path, help="sentence pairs, files named en-de.tsv.xz")
    verb.add_argument("--text", metavar="DIR", type=Path, help="plain text for recipes that use it, files named de.txt.xz")
    verb.add_argument(
        "--precision",
        default="fp32",
        choices=("fp32", "bf16", "auto"),
        help="what a reader's matrices are multiplied in; auto: bf16 where the machine has it in hardware (fp32)",
    )
    verb.add_argument("--json", action="store_true", help="one object: what the run did")
    verb.set_defaults(run=_train)


def _add_prune(verbs: Any) -> None:
    verb = verbs.add_parser(
        "prune", help="a small model to begin with: the first layers and most frequent tokens of a large one"
    )
    verb.add_argument("files", metavar="FILES", type=Path, nargs="+", help="question files, or folders of them")
    verb.add_argument("--from", metavar="MODEL", dest="base", required=True, help="hub id or folder of a BERT or XLM-R")
    verb.add_argument("--into", metavar="FOLDER", type=Path, required=True, help="folder of the small model")
    verb.add_argument("--layers", type=int, required=True, metavar="N", help="keep the first so many layers")
    verb.add_argument("--tokens", type=int, required=True, metavar="N", help="keep so many tokens, the most frequent ones")
    verb.add_argument("--text", metavar="DIR", type=Path, help="plain text to count in too, files named de.txt.xz")
    verb.set_defaults(run=_prune)


def _add_average(verbs: Any) -> None:
    verb = verbs.add_parser("average", help="average the weights of readers that were trained from one start")
    verb.add_argument("readers", metavar="READER", nargs="+", help="folders of readers")
    verb.add_argument("--into", metavar="FOLDER", type=Path, required=True, help="folder of the new reader")
    verb.set_defaults(run=_average)


def _add_reduce(verbs: Any) -> None:
    verb = verbs.add_parser("reduce", help="reduce the dimension of a static embedder by PCA")
    verb.add_argument("embedder", metavar="EMBEDDER", help="preset, hub id or folder")
    verb.add_argument("--dim", type=int, required=True, metavar="N", help="dimension of the new vectors")
    verb.add_argument("--into", metavar="FOLDER", type=Path, required=True, help="folder of the new embedder")
    verb.add_argument(
        "--text",
        metavar="DIR",
        type=Path,
        help="plain text, files named de.txt.xz: directions that tell languages apart are removed",
    )
    verb.set_defaults(run=_reduce)


def _add_split(verbs: Any) -> None:
    verb = verbs.add_parser("split", help="train and test sets, no paragraph in both")
    verb.add_argument("files", metavar="FILES", type=Path, nargs="+", help="question files, or folders of them")
    verb.add_argument("--into", metavar="DIR", type=Path, required=True, help="folder for train/ and test/")
    verb.add_argument("--test-per-language", type=int, required=True, metavar="N", help="test questions of each language")
    verb.add_argument("--seed", type=int, default=1, metavar="N", help="for what is drawn (1)")
    verb.add_argument("--json", action="store_true", help="one object: how many went where")
    verb.set_defaults(run=_split)


def _add_augment(verbs: Any) -> None:
    verb = verbs.add_parser("augment", help="more questions from the ones there are, or from plain text")
    verb.add_argument("files", metavar="FILES", type=Path, nargs="+", help="question files; with --method cloze, plain text")
    verb.add_argument("--into", metavar="FILE", type=Path, required=True, help="rows to write; packed where it ends in .xz")
    verb.add_argument("--method", required=True, choices=("pairs", "code-switch", "cloze", "translate", "near-miss"))
    verb.add_argument(
        "--parallel", metavar="DIR", type=Path, help="with --method code-switch: sentence pairs, files named en-de.tsv.xz"
    )
    verb.add_argument(
        "--model", metavar="NAME", action="append", default=[], help="with --method translate; twice: there and back"
    )
    verb.add_argument("--language", metavar="CODE", help="with --method translate: the language that comes out")
    verb.add_argument("--limit", type=int, metavar="N", help="so many at most, drawn")
    verb.add_argument("--seed", type=int, default=1, metavar="N", help="for what is drawn (1)")
    verb.add_argument("--json", action="store_true", help="one object: how many of each language pair")
    verb.set_defaults(run=_augment)


def _train(options: argparse.Namespace) -> int:
    from qa_pipeline.training.loop.recipes import recipe

    changes = {"base": options.base, "epochs": options.epochs, "batch": options.batch}
    chosen = recipe(options.preset, **changes, learning_rate=options.learning_rate)
    from qa_pipeline.training.run_data import ProgressReporter, TrainSettings
    from qa_pipeline.training.train_embedder import train_embedder
    from qa_pipeline.training.train_reader import train

    settings = TrainSettings(
        tuple(options.files),
        options.into,
        chosen,
        options.minutes,
        options.limit,
        options.seed,
        options.held_out,
        options.checkpoint_seconds,
        options.teacher,
        options.temperature,
        options.parallel,
        options.text,
        options.precision,
    )
    shown = _ProgressLine()
    told = (train if chosen.kind == "reader" else train_embedder)(
        settings, ProgressReporter(shown.words, shown.update, shown.measured)
    )
    shown.end()
    if options.json:
        print_json(told)
    else:
        _print_run(told, options.into, ("f1", "exact") if chosen.kind == "reader" else ("recall@10", "recall@1"))
    return 0


def _print_run(told: dict[str, Any], into: Path, names: tuple[str, str]) -> None:
    before = {row["language"]: row for row in told["before"]}
    if told["after"]:
        print(f"{'language':<10}{'questions':>10}" + "".join(f"{name + ' before':>18}{name:>11}" for name in names))
    for row in told["after"]:
        values = [of.get(name) for name in names for of in (before.get(row["language"], {}), row)]
        cells = zip(values, (18, 11) * len(names), strict=True)
        figures = "".join(f"{value:>{width}.1f}" if value is not None else f"{'–':>{width}}" for value, width in cells)
        print(f"{row['language']:<10}{row['questions']:>10,}{figures}")
    if told["change"]:
        low, high = told["change"]["low"], told["change"]["high"]
        print(f"{names[0]} changed by {told['change']['mean']:+.1f} (95 % confidence interval {low:+.1f} to {high:+.1f}).")
    print(f"The model is in {into}; its card is {into / 'README.md'}.")


def _prune(options: argparse.Namespace) -> int:
    from qa_pipeline.datasets.squad_writer import read_all
    from qa_pipeline.training.compression.pruning import count_tokens, prune, texts
    from qa_pipeline.training.loop.run_folder import new_folder
    from qa_pipeline.training.reader.model import resolve_base

    new_folder(options.into)
    folder, _ = resolve_base(options.base)
    found = texts(read_all(options.files), options.text)
    counts = {language: count_tokens(folder, some) for language, some in found.items()}
    prune(folder, counts, options.tokens, options.layers, options.into)
    print(f"The model is in {options.into}; it has no head yet (docqa train --from {options.into}).")
    return 0


def _average(options: argparse.Namespace) -> int:
    from qa_pipeline.training.compression.weight_averaging import average

    average(options.readers, options.into)
    print(f"The reader is in {options.into}.")
    return 0


def _reduce(options: argparse.Namespace) -> int:
    from qa_pipeline.training.compression.pca import reduce

    share = reduce(options.embedder, options.dim, options.into, options.text)
    print(f"The embedder is in {options.into}; its {options.dim} dimensions keep {share:.1%} of the variance.")
    return 0


def _split(options: argparse.Namespace) -> int:
    from qa_pipeline.datasets.examples import find_files, read_examples
    from qa_pipeline.datasets.split import by_language, divide
    from qa_pipeline.datasets.squad_writer import write_squad

    if options.test_per_language < 1:
        raise SettingError(f"--test-per-language is {options.test_per_language}; it must be 1 or more.")
    examples = [e for path in find_files(options.files) for e in read_examples(path, _ProgressLine().words)]
    division = divide(examples, options.test_per_language, options.seed)
    counts: dict[str, dict[str, int]] = {}
    for side, part in (("train", division.train), ("test", division.test)):
        for language, some in by_language(part).items():
            write_squad(some, options.into / side / f"{side}.{language}.json")
            counts.setdefault(language, {"train": 0, "test": 0})[side] = len(some)
    if options.json:
        print_json({"languages": counts, "left_out": division.left_out})
    else:
        print(f"{'language':<10}{'train':>9}{'test':>9}")
        for language, count in counts.items():
            print(f"{language:<10}{count['train']:>9,}{count['test']:>9,}")
        print(f"{division.left_out:,} questions in neither: they share a paragraph with the test, which has enough.")
    lacking = [language for language, count in counts.items() if not count["train"]]
    if lacking:
        which = "every language" if len(lacking) == len(counts) else ", ".join(lacking)
        print(
            f"docqa: The training part has no questions in {which}: all of them share paragraphs with the test;"
            " choose a smaller --test-per-language.",
            file=sys.stderr,
        )
    return 0


def _augment(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from qa_pipeline.training.augmentation.augment import AugmentSettings, augment

    settings = AugmentSettings(
        tuple(options.files),
        options.into,
        options.method,
        options.parallel,
        tuple(options.model),
        options.language,
        options.limit,
        options.seed,
    )
    told = augment(settings)
    if options.json:
        print_json(asdict(told))
    else:
        print(f"{told.written:,} questions in {options.into} ({told.near:,} near repeats left out).")
        for pair, count in told.languages.items():
            print(f"{pair:<10}{count:>10,}")
    return 0 if told.written else 1


class _ProgressLine:
    """Progress on standard error: one updating line on a terminal, else a line every LINE_SECONDS."""

    def __init__(self) -> None:
        self._last = 0.0
        self._open = False

    def words(self, text: str) -> None:
        self.end()
        print(f"docqa: {text}", file=sys.stderr)

    def update(self, at: Progress) -> None:
        left = int(at.seconds_left)
        self._line(
            f"update {at.done:,} ({at.share:.0%}), loss {at.loss:.3f}, {at.tokens_per_second:,.0f} tokens/s,"
            f" {left // 3600}:{left // 60 % 60:02}:{left % 60:02} left"
        )

    def measured(self, done: int, of: int) -> None:
        self._line(f"measured {done:,} of {of:,} questions")

    def end(self) -> None:
        if self._open:
            print(file=sys.stderr)
        self._open = False

    def _line(self, text: str) -> None:
        terminal = sys.stderr.isatty()
        now = time.monotonic()
        if now - self._last < (0.1 if terminal else LINE_SECONDS):
            return
        self._last, self._open = now, terminal
        print(f"\r\x1b[K{text}" if terminal else text, end="" if terminal else "\n", file=sys.stderr, flush=True)
