"""Fill the generated parts of the documents: commands, HTTP routes, settings of the service, the list of decisions.

    python docs/generate.py            write them
    python docs/generate.py --check    exit status 1 when a page is stale; a test does the same

A generated part stands between `<!-- generated: NAME -->` and `<!-- end -->`; everything around it is written by hand.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields
from functools import cache
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
REFERENCE = DOCS / "reference"
sys.path.insert(0, str(DOCS.parent))

PART = re.compile(r"(<!-- generated: ([^>]*?) -->\n).*?(<!-- end -->)", re.DOTALL)
TRAILING = re.compile(r" \(([^()]*)\)(?=$|;)")
NO_DEFAULT = ("same name", "..")
COMMON = {"--json": "print JSON instead of text"}
MEANINGS = {
    ("status", "INDEX"): "folder of the index",
    ("show", "INDEX"): "folder of the index",
    ("show", "DOCUMENT_ID"): "id of the document, from `docqa status --documents` or an answer",
    ("show", "--start"): "first code point of the span (default: 0)",
    ("show", "--end"): "code point after the last one of the span (default: the end of the text)",
    ("doctor", "INDEX"): "folder of the index",
    ("ask", "INDEX"): "folder of the index",
    ("search", "INDEX"): "folder of the index",
    ("read", "QUESTION"): "the question",
    ("keys", "HOME"): "home folder of the service",
    ("keys", "add|list|rotate|remove"): "what to do",
    ("backup", "SOURCE"): "index or home to copy",
    ("export", "INDEX"): "folder of the index",
    ("restore", "BACKUP"): "folder of a finished backup",
    ("augment", "--method"): "how questions are made",
}

# -- commands ----------------------------------------------------------------------------------------------------------


@cache
def verbs() -> dict[str, tuple[argparse.ArgumentParser, str]]:
    """Every documented verb by name: its parser and its one line of help, in the parser's order."""
    from qa_pipeline.cli.main import parser

    action = next(a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    shown = {choice.dest: choice.help or "" for choice in action._choices_actions if choice.help != argparse.SUPPRESS}
    return {name: (action.choices[name], about) for name, about in shown.items()}


def options(verb: str) -> set[str]:
    """The documented options of a verb, such as {"--into", "--json"}."""
    return {name for action in _actions(verb) for name in _names(action)}


def _actions(verb: str) -> list[argparse.Action]:
    """The documented arguments of a verb, positional ones first."""
    actions = verbs()[verb][0]._actions
    shown = [a for a in actions if a.help != argparse.SUPPRESS and not isinstance(a, argparse._HelpAction)]
    return sorted(shown, key=lambda action: bool(action.option_strings))


def _names(action: argparse.Action) -> list[str]:
    """An argument's options."""
    return list(action.option_strings)


def _value(action: argparse.Action) -> str:
    """What stands for the value: the metavar, or the choices."""
    if action.choices and not action.metavar:
        return "|".join(map(str, action.choices))
    return "" if action.nargs == 0 else str(action.metavar or action.dest.upper())


def _title(action: argparse.Action) -> str:
    return " ".join(filter(None, [", ".join(_names(action)), _value(action)]))


def usage(verb: str) -> str:
    """`docqa VERB ARGUMENTS --required VALUE [options]`."""
    words, left = ["docqa", verb], False
    for action in _actions(verb):
        if action.option_strings:
            words += [_title(action)] if action.required else []
            left |= not action.required
        else:
            form = {"+": "{} [{} …]", "?": "[{}]"}.get(str(action.nargs), "{}")
            words.append(form.replace("{}", _value(action)))
    return " ".join([*words, *(["[options]"] if left else [])])


def _command(verb: str) -> Iterator[str]:
    yield f"```\n{usage(verb)}\n```"
    yield ""
    yield f"{_sentence(verbs()[verb][1])}"
    yield ""
    yield "| argument | meaning | default |"
    yield "|---|---|---|"
    for action in _actions(verb):
        meaning, default = _meaning(verb, action)
        yield f"| `{_cell(_title(action))}` | {_cell(meaning)} | {_cell(default)} |"


def _meaning(verb: str, action: argparse.Action) -> tuple[str, str]:
    """What an argument means, and its default or "required", both from its help."""
    name = next(iter(_names(action)), "") or _value(action)
    text = action.help or MEANINGS.get((verb, name)) or COMMON.get(name, "")
    found = TRAILING.search(text)
    if found and (
        action.nargs == "?" or isinstance(action, argparse._AppendAction) or any(p in found[1] for p in NO_DEFAULT)
    ):
        found = None
    told = found[1].removeprefix("default: ") if found else ""
    text = text.replace(found[0], "", 1) if found else text
    if action.required:
        return text, "required"
    if isinstance(action.default, bool) or action.default in (None, [], "", argparse.SUPPRESS):
        return text, told
    return text, told or f"{action.default:g}" if isinstance(action.default, float) else told or str(action.default)


def _overview() -> Iterator[str]:
    yield "| command | what it does |"
    yield "|---|---|"
    for verb, (_, about) in verbs().items():
        yield f"| [`docqa {verb}`](#docqa-{verb}) | {_cell(about)} |"


# -- HTTP --------------------------------------------------------------------------------------------------------------


@cache
def description() -> dict[str, Any]:
    """The OpenAPI document of the service, and of each route what key it needs under `x-key`."""
    from qa_pipeline.api.app import create_app
    from qa_pipeline.api.auth import ALL_CORPORA, OPEN, WRITES
    from qa_pipeline.service.service import Service
    from qa_pipeline.service.settings import ServerSettings

    needs = {OPEN: "no key", WRITES: "a key that may write", ALL_CORPORA: "a key for every corpus"}
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(Service(ServerSettings(home=Path(folder) / "home")))
        document: dict[str, Any] = app.openapi_schema.to_schema()
    for route in app.routes:
        path = getattr(route, "path_format", "")
        for handler in getattr(route, "route_handlers", ()):
            for method in handler.http_methods:
                operation = document["paths"].get(path, {}).get(str(getattr(method, "value", method)).lower())
                if operation is not None:
                    operation["x-key"] = next((words for name, words in needs.items() if handler.opt.get(name)), "any key")
    return document


def _routes() -> Iterator[str]:
    groups: dict[str, list[tuple[str, str, Mapping[str, Any]]]] = {}
    for path, methods in description()["paths"].items():
        for method, operation in methods.items():
            groups.setdefault(operation["tags"][0], []).append((method.upper(), path, operation))
    for tag, routes in groups.items():
        yield f"### {tag.capitalize()}"
        yield ""
        for method, path, operation in routes:
            yield from _route(method, path, operation)


def _route(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"#### `{method} {path}`"
    yield ""
    about = " ".join(operation["description"].split())
    yield f"{_sentence(about)} Needs {operation['x-key']}."
    yield ""
    rows = [*_parameters(operation), *_body(operation)]
    if rows:
        yield "| parameter | in | type | required |"
        yield "|---|---|---|---|"
        yield from rows
        yield ""
    yield f"Answers: {', '.join(_answers(operation))}."
    yield ""


def _parameters(operation: Mapping[str, Any]) -> Iterator[str]:
    for parameter in operation.get("parameters") or ():
        about = f"; {parameter['description']}" if parameter.get("description") else ""
        kind = _type(parameter["schema"]) + about
        yield f"| `{parameter['name']}` | {parameter['in']} | {_cell(kind)} | {_yes(parameter.get('required'))} |"


def _body(operation: Mapping[str, Any]) -> Iterator[str]:
    for media, content in ((operation.get("requestBody") or {}).get("content") or {}).items():
        where = "body" if media == "application/json" else media
        schema = _resolved(content["schema"])
        for name, field in schema.get("properties", {}).items():
            yield f"| `{name}` | {where} | {_cell(_field(field))} | {_yes(name in schema.get('required', ()))} |"


def _answers(operation: Mapping[str, Any]) -> Iterator[str]:
    errors = []
    for status, answer in operation["responses"].items():
        content = answer.get("content") or {}
        if "application/problem+json" in content:
            errors.append(status)
            continue
        kinds = [
            f"{_type(c['schema'])} (`{m}`)" if m != "application/json" else _type(c["schema"]) for m, c in content.items()
        ]
        yield f"{status}{' ' + ' or '.join(kinds) if kinds else ''}"
    if errors:
        yield f"problems {' '.join(errors)}"


def _schemas() -> Iterator[str]:
    for name, schema in sorted(description()["components"]["schemas"].items()):
        if name.endswith("Body") or not schema.get("properties"):
            continue
        yield f"#### Schema {name}"
        yield ""
        yield "| field | type |"
        yield "|---|---|"
        for field, kind in schema["properties"].items():
            yield f"| `{field}` | {_cell(_field(kind))} |"
        yield ""


def _field(schema: Mapping[str, Any]) -> str:
    limits = [
        f"{words} {schema[name]:,}"
        for name, words in (
            ("minimum", "from"),
            ("maximum", "to"),
            ("maxLength", "characters at most"),
            ("maxItems", "items at most"),
        )
        if name in schema
    ]
    return "; ".join(filter(None, [_type(schema), *limits, schema.get("description", "")]))


def _type(schema: Mapping[str, Any]) -> str:
    """A schema in words: `integer`, `list of Answer`, `string or null`."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return name if name.endswith("Body") else f"[{name}](#schema-{name.lower()})"
    for word in ("oneOf", "anyOf"):
        if word in schema:
            return " or ".join(dict.fromkeys(_type(one) for one in schema[word]))
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if schema.get("contentMediaType"):
        return "file"
    kind = schema.get("type", "any value")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in schema:
        return schema
    found: Mapping[str, Any] = description()["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
    return found


# -- settings ----------------------------------------------------------------------------------------------------------


def _server_settings() -> Iterator[str]:
    from qa_pipeline.service.settings import ServerSettings

    known = {name: action for action in _actions("serve") for name in _names(action)}
    yield "| field | option | variable | default | meaning |"
    yield "|---|---|---|---|---|"
    for setting in fields(ServerSettings):
        option = f"--{setting.name.replace('_', '-')}"
        meaning, told = _meaning("serve", known[option]) if option in known else ("", "")
        default = told or (
            "required" if setting.default is MISSING and setting.default_factory is MISSING else setting.default
        )
        yield (
            f"| `{setting.name}` | `{option}` | `DOCQA_{setting.name.upper()}`"
            f" | {_cell(_word(default))} | {_cell(meaning)} |"
        )


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value in ((), None, "") else str(value)


def _decisions() -> Iterator[str]:
    yield "| decision | date |"
    yield "|---|---|"
    for path in sorted((DOCS / "decisions").glob("*.md")):
        if path.name != "index.md":
            title, _, date, *_ = path.read_text("utf-8").splitlines()
            yield f"| [{title.removeprefix('# ')}]({path.name}) | {date} |"


# -- pages -------------------------------------------------------------------------------------------------------------


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")


def _yes(value: object) -> str:
    return "yes" if value else ""


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")


def part(name: str) -> str:
    """The text of one generated part. Raises KeyError for a name that is not known."""
    kind, _, verb = name.partition(" ")
    if kind == "command":
        lines = _command(verb)
    else:
        makers: dict[str, Callable[[], Iterator[str]]] = {
            "commands": _overview,
            "routes": _routes,
            "schemas": _schemas,
            "server-settings": _server_settings,
            "decisions": _decisions,
        }
        lines = makers[name]()
    return "\n".join(lines).rstrip() + "\n"


def filled(text: str) -> str:
    """A page with its generated parts as they should be."""
    return PART.sub(lambda found: f"{found[1]}\n{part(found[2])}\n{found[3]}", text)


def pages() -> list[Path]:
    """The pages with a generated part."""
    return [path for path in sorted(DOCS.rglob("*.md")) if PART.search(path.read_text("utf-8"))]


def stale() -> list[Path]:
    """The pages whose generated parts are not what the code says."""
    return [path for path in pages() if filled(path.read_text("utf-8")) != path.read_text("utf-8")]


def main() -> int:
    """Write the pages, or with --check only say which are stale."""
    found = stale()
    for path in found:
        print(f"{path.relative_to(DOCS.parent)} {'is stale' if '--check' in sys.argv else 'written'}")
        if "--check" not in sys.argv:
            path.write_text(filled(path.read_text("utf-8")), "utf-8")
    return 1 if found and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
