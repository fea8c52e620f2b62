"""What is written in the Dockerfiles, compose.yaml and .dockerignore."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
from pathlib import Path
from typing import Any

import yaml

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
IMAGES = ("api", "ui")
BASE = "python:3.11-slim-bookworm"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text("utf-8"))
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT, SETUPTOOLS = PYPROJECT["project"], PYPROJECT["tool"]["setuptools"]
KNOWN = "ARG CMD COPY ENV EXPOSE FROM HEALTHCHECK RUN USER VOLUME WORKDIR".split()

Instruction = tuple[str, str]


def instructions(image: str) -> list[Instruction]:
    """(name, rest) of each instruction of a Dockerfile, lines that are continued joined."""
    text = (DOCKER / f"{image}.Dockerfile").read_text("utf-8")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(line.split(None, 1)[0], line.split(None, 1)[1].strip()) for line in joined.splitlines()]


def all_of(image: str, name: str, *, last_stage: bool = False) -> list[str]:
    found = instructions(image)
    if last_stage:
        found = found[max(at for at, (what, _) in enumerate(found) if what == "FROM") :]
    return [rest for what, rest in found if what == name]


def command(image: str) -> list[str]:
    (found,) = all_of(image, "CMD", last_stage=True)
    arguments: list[str] = json.loads(found)
    return arguments


def copied(image: str) -> list[str]:
    """What is copied from the repository, by name."""
    return [
        source
        for rest in all_of(image, "COPY")
        if not rest.startswith("--from=")
        for source in [part for part in shlex.split(rest) if not part.startswith("--")][:-1]
    ]


def environment(image: str) -> dict[str, str]:
    pairs = [part.split("=", 1) for rest in all_of(image, "ENV", last_stage=True) for part in shlex.split(rest)]
    return {name: value for name, value in pairs}


def installs(image: str) -> list[list[str]]:
    """The arguments of each `pip install`."""
    parts = [part for rest in all_of(image, "RUN") for part in re.split(r"&&|;", rest)]
    return [shlex.split(part)[2:] for part in parts if part.strip().startswith("pip install")]


def ui_packages() -> dict[str, str]:
    (line,) = installs("ui")
    assert line[:2] == ["--constraint", "constraints.txt"]
    return dict(package.split("==") for package in line[2:])


def ignored(path: str) -> bool:
    """Whether a path of the repository is kept from the build: the last pattern that fits it or a folder above decides."""
    verdict = False
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        pattern = line.strip()
        if pattern and not pattern.startswith("#") and _fits(path, pattern.removeprefix("!")):
            verdict = not pattern.startswith("!")
    return verdict


def _fits(path: str, pattern: str) -> bool:
    parts, wanted = path.split("/"), pattern.split("/")
    if wanted[0] == "**":
        return any(fnmatch.fnmatchcase(part, wanted[1]) for part in parts)
    heads = parts[: len(wanted)]
    return len(heads) == len(wanted) and all(map(fnmatch.fnmatchcase, heads, wanted))
