"""The entry point `docqa VERB`: text for people, with `--json` one object per line for programs.

Results go to standard output, progress and errors to standard error. Exit status: 0 (success), 1 (no answer or no result),
2 (wrong usage or failure, with a message of one sentence). Heavy modules are imported only by the commands that need them.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from indexing.errors import DocqaError, os_reason
from qa_pipeline.cli.ask import add_ask_verbs, add_read_verb
from qa_pipeline.cli.backup import add_backup_verbs
from qa_pipeline.cli.evaluate import add_verbs as add_evaluate_verbs
from qa_pipeline.cli.index import add_index_verb, add_inspection_verbs
from qa_pipeline.cli.serve import add_verbs
from qa_pipeline.cli.spark import add_spark_verb
from qa_pipeline.cli.train import add_training_verbs

OK, FAILED = 0, 2

# Names of verbs, options and choices from before 0.1.0: hidden aliases for one release.
OLD_VERBS = {"cut": "prune", "slim": "reduce", "mean": "average"}
OLD_OPTIONS = {"reduce": {"--numbers": "--dim"}, "augment": {"--how": "--method"}}
OLD_METHODS = {"switch": "code-switch"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status."""
    _quiet()
    try:
        options = parser().parse_args(_renamed(sys.argv[1:] if arguments is None else arguments))
        run: Callable[[argparse.Namespace], int] = options.run
        return run(options)
    except DocqaError as error:
        print(f"docqa: {error}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        print("docqa: stopped; committed work is kept, and the same command continues it.", file=sys.stderr)
        return 130
    except OSError as error:
        if error.errno is None:
            return _unexpected(error)
        where = f" ({error.filename})" if error.filename else ""
        print(f"docqa: The operating system refused a file or the network: {os_reason(error)}{where}.", file=sys.stderr)
        return FAILED
    except MemoryError:
        print("docqa: There is not enough memory for this; end other programs, or give smaller limits.", file=sys.stderr)
        return FAILED
    except Exception as error:
        return _unexpected(error)


def _unexpected(error: Exception) -> int:
    """A defect of docqa, with its traceback. Never status 1, which says that there is no answer."""
    traceback.print_exception(error)
    print(
        f"docqa: Unexpected error in docqa itself ({type(error).__name__}); please report the lines above.", file=sys.stderr
    )
    return FAILED


def _renamed(arguments: Sequence[str]) -> list[str]:
    """Replace old verbs, options and choices by their new names; prints a note about an old verb on standard error."""
    if not arguments:
        return []
    verb, *rest = arguments
    new = OLD_VERBS.get(verb, verb)
    if new != verb:
        print(f"docqa: `docqa {verb}` is now `docqa {new}`.", file=sys.stderr)
    words = [new]
    for word in rest:
        name, equals, value = word.partition("=")
        option = _new_option(new, name)
        words += [option, *([value] if equals else [])] if option else [word]
    return [_renamed_choice(before, word) for before, word in zip(["", *words], words, strict=False)]


def _new_option(verb: str, name: str) -> str:
    """The new name of an old option, or of a beginning of it, as argparse allows; "" for others. `--h` is --help."""
    options = OLD_OPTIONS.get(verb, {})
    begun = name not in ("--", "--h") and name.startswith("--")
    return next((new for old, new in options.items() if name == new or (begun and old.startswith(name))), "")


def _renamed_choice(before: str, word: str) -> str:
    return OLD_METHODS.get(word, word) if before == "--method" else word


def _quiet() -> None:
    """Suppress the output of libraries, which must not mix with results; disable telemetry."""
    os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    import warnings

    warnings.filterwarnings("ignore")


class _Parser(argparse.ArgumentParser):
    """An argument parser whose error message is one sentence."""

    def error(self, message: str) -> NoReturn:
        self.exit(FAILED, f"docqa: {message[:1].upper()}{message[1:]}; see `{self.prog} --help`.\n")


class _Version(argparse.Action):
    """Prints the version, which is looked up only then: that takes ten milliseconds."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest=argparse.SUPPRESS, default=argparse.SUPPRESS, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *given: Any) -> NoReturn:
        print(f"docqa {_version()}")
        parser.exit()


def parser() -> argparse.ArgumentParser:
    """The parser of all verbs and options; tests compare README and docs with it."""
    top = _Parser(prog="docqa", description="Find answers in documents of many languages, each with its exact place.")
    top.add_argument("--version", action=_Version, help="show the version and exit")
    verbs = top.add_subparsers(metavar="VERB", required=True)
    add_index_verb(verbs)
    add_ask_verbs(verbs)
    add_read_verb(verbs)
    add_inspection_verbs(verbs)
    add_backup_verbs(verbs)
    add_evaluate_verbs(verbs)
    add_verbs(verbs)
    add_training_verbs(verbs)
    add_spark_verb(verbs)
    return top


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("docqa")
    except PackageNotFoundError:
        return "(not installed)"
