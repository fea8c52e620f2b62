"""The published systems themselves: loaded by their hub names, asked what their cards ask, measured as they were.

They need the models, 0.4 to 2.3 GB each, and so are run where DOCQA_HUB_TESTS=1. Question sets that do not lie beside the
repository are looked for in the folder DOCQA_HUB_DATA (`dev-v2.0.json`, `test-context-de-question-de.json`).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from indexing.models.presets import PRESETS
from qa_pipeline.cli.main import main, parser
from tests.cards import CARDS, READERS, Shown

ROOT = Path(__file__).resolve().parents[3]
HERE = ROOT.parent / "shared" / "data"
ASKED = os.environ.get("DOCQA_HUB_TESTS") == "1"
hub = [pytest.mark.hub, pytest.mark.skipif(not ASKED, reason="needs models of the hub; run with DOCQA_HUB_TESTS=1")]


@dataclass(frozen=True)
class Measured:
    """A figure of a card: of which reader, on what, in which row of `docqa evaluate` over which file, how scored."""

    reader: str
    on: str
    file: str
    row: str = "all"
    scorer: str = "squad2"


CARD_FIGURES = [
    *(Measured(reader, "SQuAD 2.0 dev", "dev-v2.0.json") for reader in ("xlmr-squad2", "xlmr-large-squad2", "bert-squad2")),
    *(Measured(reader, "MLQA de", "test-context-de-question-de.json") for reader in ("xlmr-squad2", "xlmr-large-squad2")),
    *(Measured(reader, "XQuAD de", "xquad/xquad.de.json") for reader in ("xlmr-squad2", "xlmr-large-squad2")),
    Measured("distilbert-tydiqa", "TyDi QA GoldP dev", "tydiqa-goldp-dev", scorer="tydiqa"),
    *(
        Measured("distilbert-tydiqa", f"TyDi QA GoldP dev {row}", "tydiqa-goldp-dev", row, "tydiqa")
        for row in ("ar", "bn", "en", "fi", "id", "ko", "ru", "sw", "te")
    ),
]
NEAR = 1.0


def docqa(*arguments: Any) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, with the network the tests themselves go without."""
    told = {**os.environ, "DOCQA_OFFLINE": "0", "HF_HUB_OFFLINE": "0"}
    command = [sys.executable, "-m", "qa_pipeline.cli", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=told)


def read(model: str, shown: Shown) -> dict[str, Any]:
    """What `docqa read` says; its offsets are those of its answer."""
    run = docqa("read", shown.question, "--context", shown.context, "--reader", model, "--json")
    assert run.returncode in (0, 1), run.stderr
    told: dict[str, Any] = json.loads(run.stdout)
    assert shown.context[told["start"] : told["end"]] == told["answer"]
    return told


# -- what needs no model -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shown", CARDS, ids=lambda s: f"{s.reader}-{s.language}")
def test_the_cards_offsets_are_those_of_their_answers(shown: Shown) -> None:
    assert shown.context[shown.start : shown.start + len(shown.answer)] == shown.answer


def test_every_published_figure_that_can_be_had_again_is_measured() -> None:
    figures = {(name, figure.on) for (kind, name), p in PRESETS.items() if kind == "reader" for figure in p.published}
    measured = {(figure.reader, figure.on) for figure in CARD_FIGURES}
    assert measured <= figures
    assert {reader for reader, _ in figures - measured} == {"mbert-xquad", "xlm-xquad"}


def test_the_documentation_has_every_figure_and_its_commands_are_real() -> None:
    text = (ROOT / "docs" / "reference" / "models.md").read_text("utf-8")
    for preset in PRESETS.values():
        assert all(f"{figure.exact:.2f} / {figure.f1:.2f}" in text for figure in preset.published), preset.name
        assert preset.spark_nlp in text
    commands = re.findall(r"`docqa (evaluate [^`]+)`", text)
    assert {parser().parse_args(command.split()).reader for command in commands} == {*READERS, "builtin"}
    assert all(card.answer in text and card.question in text for card in CARDS)


def test_the_command_names_each_with_its_facts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    printed = capsys.readouterr().out
    for name in READERS:
        preset = PRESETS["reader", name]
        facts = (preset.model, preset.licence, preset.languages, preset.parameters, preset.trained_on, preset.spark_nlp)
        assert all(fact in printed for fact in facts) and str(preset.published[0]) in printed


# -- what needs them -----------------------------------------------------------------------------------------------


HUB_NAMES = [(name, hub_id) for name in READERS for p in [PRESETS["reader", name]] for hub_id in (p.model, *p.also)]


@pytest.mark.parametrize(("reader", "model"), [pytest.param(*names, marks=hub, id=names[1]) for names in HUB_NAMES])
def test_it_loads_by_its_hub_name_and_marks_pieces_of_the_text(reader: str, model: str) -> None:
    for shown in {(card.question, card.context): card for card in CARDS}.values():
        told = read(model, shown)
        assert told["answer"] or PRESETS["reader", reader].knows_no_answer


@pytest.mark.parametrize(
    "shown", [pytest.param(card, marks=hub, id=f"{card.reader}-{card.language}-{n}") for n, card in enumerate(CARDS)]
)
def test_it_gives_its_cards_output(shown: Shown) -> None:
    told = read(PRESETS["reader", shown.reader].model, shown)
    assert told["answer"]
    if shown.answer and shown.certain:
        assert (told["answer"], told["start"]) == (shown.answer, shown.start)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of runs, so that the rows of one run are measured once."""
    return tmp_path_factory.mktemp("runs")


@pytest.mark.parametrize(
    "wanted", [pytest.param(figure, marks=hub, id=f"{figure.reader}-{figure.on}") for figure in CARD_FIGURES]
)
def test_it_scores_what_its_card_says(wanted: Measured, runs: Path) -> None:
    folders = [HERE, *(Path(name) for name in [os.environ.get("DOCQA_HUB_DATA", "")] if name)]
    file = next((folder / wanted.file for folder in folders if (folder / wanted.file).exists()), None)
    if file is None:
        pytest.skip(f"needs {wanted.file}; name the folder that holds it by DOCQA_HUB_DATA")
    run = docqa(
        "evaluate",
        file,
        "--reader",
        wanted.reader,
        "--scorer",
        wanted.scorer,
        "--json",
        "--out",
        runs / f"{wanted.reader}-{file.name}",
    )
    assert run.returncode == 0, run.stderr
    rows = {row["name"]: row for row in map(json.loads, run.stdout.splitlines())}
    card = next(f for f in PRESETS["reader", wanted.reader].published if f.on == wanted.on)
    found = [float(rows[wanted.row][name]["value"]) for name in ("exact", "f1")]
    assert found == pytest.approx([card.exact, card.f1], abs=NEAR)
