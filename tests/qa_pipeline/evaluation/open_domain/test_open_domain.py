"""Open domain: ranks counted by hand, the right passage known, silence rewarded where the context is gone."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from indexing.errors import SettingError
from indexing.models.embedder import Embedder
from qa_pipeline.answering.calibration import Calibration
from qa_pipeline.answering.evidence_weights import FactWeights
from qa_pipeline.answering.loaded_reader import LoadedReader
from qa_pipeline.cli.main import main
from qa_pipeline.evaluation.metrics.ranking import RelevantRanks, average_precision, ndcg, ranking, recall, reciprocal_rank
from qa_pipeline.evaluation.metrics.scorers import SCORERS
from qa_pipeline.evaluation.open_domain.asker import OpenPrediction, reply
from qa_pipeline.evaluation.open_domain.corpus import make_corpus
from qa_pipeline.evaluation.open_domain.retrieval_only import find
from qa_pipeline.evaluation.open_domain.run import OpenDomainSettings, evaluate_open
from qa_pipeline.evaluation.open_domain.summary import OpenSummary
from qa_pipeline.evaluation.reading_comprehension.run import MeasuredReader
from qa_pipeline.evaluation.runs.predictions import QuestionSet
from qa_pipeline.evaluation.runs.results_folder import Results
from qa_pipeline.reading.readings import Reading, Span
from qa_pipeline.retrieval.evidence import NOTHING
from tests.known import WordEmbedder, WordReader

EMBEDDER: Any = WordEmbedder()
PLACES = [
    "Kestrel",
    "Orveth",
    "Tamsin",
    "Brannock",
    "Sorrel",
    "Dunmore",
    "Halloway",
    "Pellin",
    "Quarrie",
    "Runswick",
    "Selby",
    "Thorne",
]
CONTEXTS = {place: f"The bridge of {place} opened in {1900 + n}. It is long." for n, place in enumerate(PLACES)}


# -- ranks -------------------------------------------------------------------------------------------------------------


def test_ranks_are_counted_as_defined() -> None:
    for seed in range(300):
        dice = random.Random(seed)
        relevant = dice.randint(1, 4)
        ranks = tuple(sorted(dice.sample(range(1, 30), dice.randint(0, relevant))))
        found = RelevantRanks(ranks, relevant)
        flags = [n + 1 in ranks for n in range(30)]
        for cut in (1, 5, 10):
            assert recall(found, cut) == float(any(flags[:cut]))
        assert reciprocal_rank(found) == next((1 / (n + 1) for n, flag in enumerate(flags) if flag), 0.0)
        gain = sum(1 / math.log2(n + 2) for n, flag in enumerate(flags[:10]) if flag)
        assert ndcg(found) == pytest.approx(gain / sum(1 / math.log2(n + 2) for n in range(relevant)))
        precisions = [sum(flags[: n + 1]) / (n + 1) for n, flag in enumerate(flags) if flag]
        assert average_precision(found) == pytest.approx(sum(precisions) / relevant)


def test_means_over_questions() -> None:
    found = ranking([RelevantRanks((1,), 1), RelevantRanks((4,), 1), RelevantRanks((), 1)])
    assert (found.questions, found.recall[1], found.recall[5]) == (3, pytest.approx(100 / 3), pytest.approx(200 / 3))
    assert found.mrr == pytest.approx(100 * (1 + 0.25) / 3)
    assert ranking([]).mrr == 0.0 and average_precision(RelevantRanks((), 0)) == 0.0


# -- the corpus --------------------------------------------------------------------------------------------------------


def rows(language: str = "en", contexts: dict[str, str] = CONTEXTS) -> list[dict[str, Any]]:
    return [
        {
            "id": place,
            "question": f"When opened the bridge of {place}?",
            "context": context,
            "lang": language,
            "answers": [{"text": context[(at := context.index("19")) : at + 4], "answer_start": at}],
        }
        for place, context in contexts.items()
    ]


def questions(folder: Path, **files: list[dict[str, Any]]) -> QuestionSet:
    folder.mkdir(exist_ok=True)
    for name, found in files.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found), "utf-8")
    return QuestionSet.read([folder])


def test_every_answer_is_found_in_its_document(tmp_path: Path) -> None:
    """Also where the file reader takes the byte order mark off, and where the context is cut into many passages."""
    long = (
        " ".join(f"Sentence {n} says little about the harbour and its {n} boats." for n in range(120))
        + " It closed in 1987."
    )
    contexts = {**CONTEXTS, "bom": "\ufeffThe tower of 1950 fell in 1951.", "long": long}
    asked = questions(tmp_path / "q", en=rows(contexts=contexts))
    corpus = make_corpus(asked.contexts, tmp_path / "c", EMBEDDER)
    for example in asked.examples:
        right = corpus.right(example)
        chunks = corpus.index.folder.chunks(right)
        assert chunks and all(example.golds[0].text in chunk.text for chunk in chunks)
        assert {chunk.source for chunk in chunks} == {corpus.sources["en", example.context]}
    assert len(corpus.passages[corpus.sources["en", long]]) > 3


def test_a_corpus_is_made_once(tmp_path: Path) -> None:
    asked = questions(tmp_path / "q", en=rows())
    make_corpus(asked.contexts, tmp_path / "c", EMBEDDER).index.close()
    before = EMBEDDER.embedded
    make_corpus(asked.contexts, tmp_path / "c", EMBEDDER).index.close()
    assert EMBEDDER.embedded == before


# -- asking ------------------------------------------------------------------------------------------------------------


class PlaceReader(WordReader):
    """Sure of the year of a passage that names the place asked for, unsure of any other."""

    def _one(self, asked: set[str], text: str) -> Reading:
        found = super()._one(asked, text)
        named = asked & {place.lower() for place in PLACES} & {word.strip(".,?").lower() for word in text.split()}
        margin = 5.0 if named else -5.0
        return Reading(tuple(Span(s.start, s.end, s.score, margin, 0.5) for s in found.spans))


FREE = FactWeights(0.0, 0.0)


def measured(reader: Any = None) -> MeasuredReader:
    return MeasuredReader(LoadedReader(reader or PlaceReader(), "places", Calibration(fact_weights=FREE)), "places", "1")


def run(asked: QuestionSet, **more: Any) -> OpenSummary:
    return evaluate_open(asked, measured(), EMBEDDER, SCORERS["squad1"], **more)


def test_a_reader_that_knows_is_right_and_silent_at_the_right_time(tmp_path: Path) -> None:
    summary = run(questions(tmp_path / "q", en=rows()))
    row = summary.all
    assert (row.questions, row.exact.value, row.f1.value, row.best_f1) == (12, 100.0, 100.0, 100.0)
    assert (row.silence.precision, row.silence.recall, row.silence.accuracy) == (100.0, 100.0, 100.0)
    assert row.retrieval["keyword"].recall[1] == 100.0 and row.retrieval["fused"].recall[10] == 100.0
    assert summary.matrix == {}


def test_one_that_always_answers_never_says_rightly_that_there_is_none(tmp_path: Path) -> None:
    class Sure(WordReader):
        def _one(self, asked: set[str], text: str) -> Reading:
            return Reading(tuple(Span(s.start, s.end, 1.0, 9.0, 0.5) for s in super()._one(asked, text).spans))

    found = evaluate_open(questions(tmp_path / "q", en=rows()), measured(Sure()), EMBEDDER, SCORERS["squad1"]).all
    assert (found.silence.precision, found.silence.recall, found.silence.accuracy) == (0.0, 0.0, 50.0)
    assert found.silence.auroc is not None and abs(found.silence.auroc - 0.5) < 0.3, "a gap that is always 9 tells nothing"


def test_questions_without_an_answer_want_silence_once(tmp_path: Path) -> None:
    none = [{**row, "id": row["id"] + "-none", "question": "Who paid for it?", "answers": []} for row in rows()[:4]]
    found = run(questions(tmp_path / "q", en=rows() + none)).all
    assert found.questions == 16 and found.retrieval["fused"].questions == 12
    assert found.silence.accuracy == 100.0 and found.f1.value == 100.0 and found.silence.auroc == 1.0


def test_other_languages_corpora_are_searched_for_the_same_question(tmp_path: Path) -> None:
    german = {place: f"Die Brücke von {place} öffnete {1900 + n}. Sie ist lang." for n, place in enumerate(PLACES)}
    asked = questions(tmp_path / "q", en=rows(), de=rows("de", german))
    summary = run(asked, how=OpenDomainSettings(across=True), out=tmp_path / "o")
    assert {q: set(row) for q, row in summary.matrix.items()} == {"de": {"de", "en"}, "en": {"de", "en"}}
    assert summary.matrix["en"]["de"] == 100.0
    first = OpenPrediction.from_dict(Results.read(tmp_path / "o").lines[0])
    assert set(first.across) == {"en"} and first.across_relevant == {"en": 1}
    for name in ("by-language", "retrieval", "matrix"):
        assert (tmp_path / "o" / "plots" / f"{name}.png").is_file()
    assert json.loads((tmp_path / "o" / "metrics.json").read_text("utf-8"))["matrix"]["en"]["de"] == 100.0


def test_finding_alone_finds_what_reading_found(tmp_path: Path) -> None:
    german = {place: f"Die Brücke von {place} öffnete {1900 + n}. Sie ist lang." for n, place in enumerate(PLACES)}
    asked = questions(tmp_path / "q", en=rows(), de=rows("de", german))
    whole = run(asked, how=OpenDomainSettings(across=True))
    seen: list[tuple[int, int]] = []
    found = find(asked.examples, asked.contexts, EMBEDDER, True, lambda done, of: seen.append((done, of)))
    assert [row.name for row in found.rows] == ["de", "en"] and seen[-1] == (24, 24)
    assert [row.retrieval for row in found.rows] == [row.retrieval for row in whole.rows]
    assert found.all.retrieval == whole.all.retrieval and found.matrices["fused"] == whole.matrix
    for row, other in zip(found.rows, ("en", "de"), strict=True):
        assert row.across == {system: found.matrices[system][row.name][other] for system in found.matrices}
    alone = find(asked.examples, asked.contexts, EMBEDDER, False, lambda *_: None)
    assert alone.all.retrieval == found.all.retrieval and alone.all.across["dense"] == 0.0


def test_only_as_many_passages_are_read_as_are_retrieved(tmp_path: Path) -> None:
    class Listing(PlaceReader):
        def read(self, question: str, texts: Any) -> list[Reading]:
            read.setdefault(question, []).extend(texts)
            return super().read(question, texts)

    read: dict[str, list[str]] = {}
    asked = questions(tmp_path / "q", en=rows())
    evaluate_open(asked, measured(Listing()), EMBEDDER, SCORERS["squad1"], how=OpenDomainSettings(retrieve=3))
    assert len(read) == 12 and {len(texts) for texts in read.values()} == {4}


def test_a_stopped_run_goes_on_and_gives_the_same(tmp_path: Path) -> None:
    asked = questions(tmp_path / "q", en=rows())
    whole = run(asked, out=tmp_path / "o")
    lines = (tmp_path / "o" / "predictions.jsonl").read_bytes()
    (tmp_path / "o" / "predictions.jsonl").write_bytes(lines[: len(lines) // 2])
    assert run(asked, out=tmp_path / "o") == whole and (tmp_path / "o" / "predictions.jsonl").read_bytes() == lines
    with pytest.raises(SettingError, match="another retrieve"):
        run(asked, how=OpenDomainSettings(retrieve=3), out=tmp_path / "o")


def test_nothing_read_is_no_answer() -> None:
    assert reply([], Calibration()).given == "" and reply([(None, Reading(), NOTHING)], Calibration()).no_answer == 1.0  # type: ignore[list-item]


def test_the_table_in_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    questions(tmp_path / "q", en=rows())
    monkeypatch.setattr(MeasuredReader, "load", lambda name: measured())
    monkeypatch.setattr(Embedder, "load", lambda name: EMBEDDER)
    assert main(["evaluate", str(tmp_path / "q"), "--open-domain", "--limit", "5"]) == 0
    out = capsys.readouterr().out
    assert "squad1" in out and "dense" in out and "100.0 / 100.0" in out
    assert main(["evaluate", str(tmp_path / "q"), "--open-domain", "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["name"] for row in found] == ["en", "all"] and found[0]["silence"]["recall"] == 100.0
    assert main(["evaluate", str(tmp_path / "q"), "--open-domain", "--find-only", "--across"]) == 0
    told = capsys.readouterr().out
    assert "en                12" in told and "recall@10 across languages" in told
    assert main(["evaluate", str(tmp_path / "q"), "--open-domain", "--find-only", "--json"]) == 0
    assert [json.loads(line)["name"] for line in capsys.readouterr().out.splitlines()] == ["en", "all"]
    assert main(["evaluate", str(tmp_path / "q"), "--find-only"]) == 2
    assert "belongs to --open-domain" in capsys.readouterr().err
    assert main(["evaluate", str(tmp_path / "q"), "--open-domain", "--retrieve", "0"]) == 2
