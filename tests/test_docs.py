"""Documents that cannot rot: the reference is what the code says, links lead somewhere, examples run, prose is readable."""

from __future__ import annotations

import ast
import importlib.util
import io
import re
import statistics
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from indexing import errors
from qa_pipeline import errors as own_errors

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text("utf-8")
PACKAGES = ("indexing", "qa_pipeline", "ui")
NOT_OURS = {
    ".venv",
    ".git",
    ".demo",
    ".home",
    ".hypothesis",
    ".ruff_cache",
    ".mypy_cache",
    ".pytest_cache",
    "docqa.egg-info",
    ".site",
}


def _generator() -> Any:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


generator = _generator()


def ours(pattern: str) -> list[Path]:
    found = (path for path in ROOT.rglob(pattern) if path.relative_to(ROOT).parts[0] not in NOT_OURS)
    return sorted(path for path in found if path.is_file() and "node_modules" not in path.parts)


PAGES = sorted(DOCS.rglob("*.md"))
DOCUMENTS = ours("*.md")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
LONGEST_IN_CODE = 25


def named(paths: list[Path]) -> list[Any]:
    return [pytest.param(path, id=str(path.relative_to(ROOT))) for path in paths]


# -- the reference is what the code says -----------------------------------------------------------------------------


@pytest.mark.parametrize("page", named(generator.pages()))
def test_generated_parts_are_fresh(page: Path) -> None:
    text = page.read_text("utf-8")
    assert generator.filled(text) == text, "run `python docs/generate.py`"


@pytest.mark.parametrize("verb", generator.verbs())
def test_every_command_and_option_is_in_the_reference(verb: str) -> None:
    page = (DOCS / "reference" / "cli.md").read_text("utf-8")
    section = page.split(f"### docqa {verb}\n", 1)[1].split("\n### docqa ", 1)[0]
    assert f"<!-- generated: command {verb} -->" in section
    assert all(f"`{option}" in section or f", {option}" in section for option in generator.options(verb))


OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
OF_OTHERS = {"--help", "--version", "--archives"}


@pytest.mark.parametrize("document", named(DOCUMENTS))
def test_no_command_or_option_is_named_that_is_not_there(document: Path) -> None:
    if document.name == "CHANGELOG.md":
        pytest.skip("it names what there was")
    verbs = set(generator.verbs())
    known = {option for verb in verbs for option in generator.options(verb)} | OF_OTHERS
    for code in code_of(document.read_text("utf-8")):
        for command in re.findall(r"(?:^|[^\w/.-])docqa ([^\n|#]*)", code):
            verb = command.split(" ", 1)[0]
            assert not re.fullmatch(r"[a-z]+", verb) or verb in verbs, f"there is no `docqa {verb}`"
            assert set(OPTION.findall(command)) <= known, (command, set(OPTION.findall(command)) - known)
        if code.startswith("--") and document.parent.name != "benchmarks":
            assert set(OPTION.findall(code)) <= known, code


def code_of(markdown: str) -> Iterator[str]:
    """The lines of fenced code, and every code span."""
    for n, part in enumerate(re.split(r"^```.*$", markdown, flags=re.MULTILINE)):
        yield from part.splitlines() if n % 2 else (span for _, span in re.findall(r"(`+)([^`]+)\1", part))


# -- links ------------------------------------------------------------------------------------------------------------


def slug(heading: str) -> str:
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*]", r"\1", heading)
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())


def anchors(page: Path) -> set[str]:
    return {slug(heading) for heading in re.findall(r"^#+ (.+)$", without_code(page.read_text("utf-8")), re.MULTILINE)}


def without_code(markdown: str) -> str:
    return re.sub(r"^```.*?^```", "", markdown, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("document", named(DOCUMENTS))
def test_links_lead_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(document.read_text("utf-8"))):
        target, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        path = (document.parent / target) if target else document
        assert path.exists(), link
        assert not anchor or path.suffix != ".md" or anchor in anchors(path), link


@pytest.mark.parametrize("document", named(DOCUMENTS))
def test_named_documents_exist(document: Path) -> None:
    text = without_code(document.read_text("utf-8"))
    for name in re.findall(r"`((?:docs|benchmarks|examples|docker|indexing/builtin)/[\w./-]+)`", text):
        assert (ROOT / name).exists(), name


# -- examples and errors ---------------------------------------------------------------------------------------------


def test_the_python_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = README.split("```python", 1)[1].split("```", 1)[0].replace('"my-index"', repr(str(tmp_path / "i")))
    monkeypatch.chdir(ROOT)
    exec(compile(code.replace("examples/corpus", "examples/corpus/en"), "README.md", "exec"), {})
    assert "22 June 1912" in capsys.readouterr().out


@pytest.mark.parametrize("module", [errors, own_errors])
def test_every_error_is_drawn_in_the_tree(module: ModuleType) -> None:
    names = [
        name for name, value in vars(module).items() if isinstance(value, type) and issubclass(value, errors.DocqaError)
    ]
    assert names and all(re.search(rf"\b{name}\b", module.__doc__ or "") for name in names)


def test_nothing_names_this_machine() -> None:
    found = []
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        if path.suffix in (".py", ".md", ".toml", ".txt", ".html", "") and path.is_file() and parts[0] not in NOT_OURS:
            text = path.read_text("utf-8", errors="ignore")
            if re.search("py" + r"pi\.org|python" + r"hosted\.org|/wo" + "rk/|/ro" + "ot/", text):
                found.append(str(path))
    assert found == []


# -- prose ------------------------------------------------------------------------------------------------------------

LONGEST, MEDIAN = 40, 17
FEW, LIST_COMMAS = 8, 6
GENERATED = re.compile(r"<!-- generated: .*?<!-- end -->", re.DOTALL)

# What the field has a word for: pattern -> say instead. Only what has no other use in these documents.
SAY = {
    r"for nothing|on one level": "language bias",
    r"\bof then\b|\bone that is not\b|\basked of (it|them)\b": "say it directly",
    r"\blift(s|ed)?\b": "evidence weights",
    r"reader's gap|\bgaps? over\b|no-answer gap": "margin",
    r"\bnearness\b": "dense score",
    r"token by token compar|tokens compared": "late interaction (MaxSim)",
    r"\bsharp\b": "slope (Platt scaling)",
    r"\bremember(s|ed|ing)?\b": "LRU cache, or store",
    r"beside the writing|\bhelper processes\b|\bhelpers\b": "worker processes",
    r"\bsilence\b": "no answer",
    r"\bmodel1\b": "IBM Model 1",
    r"\b(is|are|was|were) told\b|\btold apart\b": "is reported, is distinguished",
    r"\btaken out\b": "removed",
    r"\banew\b": "again; rebuilt",
    r"\blaws?\b": "invariant",
    r"\bdoors?\b": "entry point",
    r"\brooms\b": "packages",
    r"\bof then\b|\bthe (reader|embedder|one) before\b": "history is in CHANGELOG.md",
}


def blocks(markdown: str) -> Iterator[str]:
    """Paragraphs and list items as plain text; no headings, tables, code or generated parts. Code spans are one word."""
    text = GENERATED.sub("\n\n", without_code(markdown))
    lines: list[str] = []
    for line in [*text.splitlines(), ""]:
        starts = bool(re.match(r"\s*([-*]|\d+\.) ", line))
        kept = line.strip() and not re.match(r"\||#|    \S|<!--|!\[", line)
        if (starts or not kept) and lines:
            yield " ".join(lines)
            lines = []
        if kept:
            lines.append(re.sub(r"^\s*([-*]|\d+\.) ", "", line).strip())


def plain(text: str) -> str:
    text = re.sub(r"(`+)[^`]+\1", "code", text)
    return re.sub(r"\[([^\]]*)\]\([^)]*\)|[*_]{1,2}(?=\S)|(?<=\S)[*_]{1,2}", r"\1", text)


def sentences(markdown: str) -> list[str]:
    parts = (re.split(r"(?<=[.!?])[\"”)]*\s+(?=[A-Z0-9¹²³\"“(`c]|docqa\b)", plain(block)) for block in blocks(markdown))
    return [sentence for part in parts for sentence in part if sentence]


def words(sentence: str) -> int:
    return len(re.findall(r"\S*\w\S*", sentence))


def is_list(sentence: str) -> bool:
    return sentence.count(",") >= LIST_COMMAS


@pytest.mark.parametrize("page", named(PAGES))
def test_sentences_are_short(page: Path) -> None:
    found = sentences(page.read_text("utf-8"))
    assert [s for s in found if words(s) > LONGEST and not is_list(s)] == []
    assert len(found) < FEW or statistics.median(map(words, found)) <= MEDIAN


@pytest.mark.parametrize("page", named(PAGES))
def test_the_words_are_those_of_the_field(page: Path) -> None:
    text = plain(GENERATED.sub("", re.sub(r"^    .*$", "", without_code(page.read_text("utf-8")), flags=re.MULTILINE)))
    assert wrong_words(text) == []


def wrong_words(text: str) -> list[str]:
    return [
        f"{found[0]!r}: say {say}" for pattern, say in SAY.items() for found in re.finditer(pattern, text, re.IGNORECASE)
    ]


def test_the_first_lines_of_modules_are_in_the_words_of_the_field() -> None:
    found = []
    for path in SOURCES:
        first = (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").split("\n", 1)[0]
        found += [f"{path.relative_to(ROOT)}: {wrong}" for wrong in wrong_words(plain(first))]
        found += [f"{path.relative_to(ROOT)}: {words(first)} words"] if words(plain(first)) > LONGEST else []
    assert found == []


def prose_of(source: str) -> Iterator[str]:
    """The docstrings and the comments of a module, each in one piece; examples and indented formulas are left out."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            paragraphs = re.split(r"\n\s*\n", ast.get_docstring(node) or "")
            yield "\n\n".join(text for text in paragraphs if not text.startswith((">>>", "    ")))
    block: list[str] = []
    last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            goes_on = token.start[0] == last + 1 and not token.line[: token.start[1]].strip()
            if not goes_on:
                yield " ".join(block)
                block = []
            block.append(re.sub(r"(noqa|type: ignore).*", "", token.string.strip("#- ")))
            last = token.start[0]
    yield " ".join(block)


def parts(text: str) -> Iterator[str]:
    """The sentences of a docstring, and the parts of lists such as `name: what it means; other: what that means`."""
    for paragraph in re.split(r"\n\s*\n", text):
        yield from re.split(r"(?<=[.!?;])[\"”)]*\s+|(?<=\w):\s+(?=\w)", plain(" ".join(paragraph.split())))


@pytest.mark.parametrize("path", named(SOURCES))
def test_docstrings_and_comments_are_plain(path: Path) -> None:
    """Standard terms, and sentences that are understood at first reading."""
    found = [text for text in prose_of(path.read_text("utf-8")) if text.strip()]
    assert [wrong for text in found for wrong in wrong_words(plain(text))] == []
    assert [part for text in found for part in parts(text) if words(part) > LONGEST_IN_CODE and not is_list(part)] == []


def messages_of(source: str) -> Iterator[str]:
    """The texts of a module that people see: strings of several words that are no docstrings."""
    tree = ast.parse(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield from [node.value] if " " in node.value.strip() else []


OLD_MESSAGES = re.compile(
    r"\b(anew|taken out|take it back|what was said|said of|be told|told apart|told (is|was|from)|asked of|of then"
    r"|goes on from|made again|make again|mends?|mended|let in|looked at|nothing read|a defect of)\b",
    re.IGNORECASE,
)


@pytest.mark.parametrize("path", named(SOURCES))
def test_messages_are_plain(path: Path) -> None:
    assert [text for text in messages_of(path.read_text("utf-8")) if OLD_MESSAGES.search(text)] == []


def test_the_checker_of_prose_sees_docstrings_and_comments() -> None:
    source = (
        '''"""One."""\n\n# A comment\n# in two lines.\nx = 1  # Another.\n'''
        '''def f():\n    """Two.\n\n    >>> 1\n    1\n    """\n'''
    )
    assert [text.strip() for text in prose_of(source) if text] == ["One.", "Two.", "A comment in two lines.", "Another."]
    assert list(parts("width: of a page; height: likewise. And (so) on.")) == [
        "width",
        "of a page;",
        "height",
        "likewise.",
        "And (so) on.",
    ]
