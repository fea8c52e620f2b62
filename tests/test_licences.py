"""No dependency of the default install is under GPL or AGPL; each names its licence."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[no-redef, import-not-found, unused-ignore]

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
COPYLEFT = re.compile(r"\b(A?GPL|GNU (Affero )?General Public)", re.IGNORECASE)


def closure() -> dict[str, Distribution]:
    """The installed distributions that the default install brings, by canonical name."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    waiting = [(Requirement(line), frozenset[str]()) for line in pyproject["project"]["dependencies"]]
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement, extras = waiting.pop()
        if requirement.marker and not any(requirement.marker.evaluate({"extra": extra}) for extra in (extras or {""})):
            continue
        name = canonicalize_name(requirement.name)
        wanted = frozenset(requirement.extras)
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue
        waiting += [(Requirement(line), wanted) for line in found[name].requires or ()]
    return found


def licences(package: Distribution) -> Iterator[str]:
    """The licence expression, the first line of the licence field, and the licence classifiers."""
    facts = package.metadata
    for name in ("License-Expression", "License"):
        value = (facts.get_all(name) or [""])[0].strip().partition("\n")[0]
        if value and value != "UNKNOWN":
            yield value
    yield from (value for value in facts.get_all("Classifier") or () if value.startswith("License ::"))


@pytest.mark.parametrize("name", sorted(closure()))
def test_a_dependency_is_not_under_gpl_or_agpl(name: str) -> None:
    package = closure()[name]
    told = list(licences(package))
    files = [str(path) for path in package.files or () if re.search(r"licen[cs]e|copying|notice", str(path), re.IGNORECASE)]
    assert told or files, f"{name} names no licence"
    assert not told or not all(map(is_copyleft, told)), f"{name} is under {told}"


def is_copyleft(licence: str) -> bool:
    """Whether a licence text names GPL or AGPL, and not the Lesser GPL."""
    return bool(COPYLEFT.search(licence)) and "Lesser" not in licence


def test_copyleft_is_recognised() -> None:
    for text in ("GPL-3.0-or-later", "AGPL-3.0-only", "License :: OSI Approved :: GNU General Public License v3 (GPLv3)"):
        assert is_copyleft(text)
    assert is_copyleft("GNU Affero General Public License v3")
    for text in ("MIT", "LGPL-2.1-or-later", "License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)"):
        assert not is_copyleft(text)


def test_the_closure_holds_what_is_asked_for() -> None:
    assert {"torch", "onnxruntime", "numpy", "litestar", "msgspec"} <= closure().keys() and len(closure()) > 40
