"""`ask` over an index in parts, on two cores of this machine: the replies of the whole index."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.spark import needs_spark

needs_spark()
from indexing.build import build_index
from indexing.errors import FilterError, SettingError
from indexing.settings import IndexSettings
from qa_pipeline.cli.main import main
from qa_pipeline.settings import AskSettings
from qa_pipeline.spark import dataframe

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROOT = Path(__file__).resolve().parents[3]
LANGUAGES = ("de", "en", "ja")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("parts")
    for language in LANGUAGES:
        shutil.copytree(ROOT / "examples" / "corpus" / language, home / "documents" / language)
    build_index(home / "documents", home / "index", IndexSettings(embedder="builtin", tiers="token"))
    assert main(["spark", "split", str(home / "index"), "--into", str(home / "parts"), "--parts", "3"]) == 0
    return home / "index"


@pytest.mark.parametrize("filters", [None, {"language": "en"}])
def test_parts_reply_as_the_whole_index(session: SparkSession, index: Path, filters: Any) -> None:
    """Rows that cannot be asked have the same reason, and a question that comes twice is answered twice."""
    examples = json.loads((ROOT / "examples" / "questions.json").read_text("utf-8"))
    paragraphs = [p for d in examples["data"] for p in d["paragraphs"]]
    questions = [q["question"] for p in paragraphs for q in p["qas"] if q["question"].isascii()][:3]
    rows = [*enumerate([*questions, questions[0], "橋はいつ開通しましたか。", None, "", "x" * 600])]
    frame = session.createDataFrame(rows, "id long, `the question` string").repartition(3)
    replies = []
    asked = AskSettings(retrieve=4, words="" if filters else "the OR a")
    for folder in (index, index.parent / "parts"):
        how: Any = {"question": "the question", "reader": "builtin", "filters": filters, "settings": asked}
        found = dataframe.ask(frame, folder, **how)
        assert found.columns == ["id", "the question", "reply"]
        replies.append({row.id: row.reply.asDict(recursive=True) for row in found.collect()})
    whole, parts = replies
    assert len(parts) == len(rows)
    for number, wanted in whole.items():
        mine = parts[number]
        for one in (wanted, mine):
            for answer in one["answers"] or []:
                answer["score"] = round(answer["score"], 4)
            one["score"] = one["score"] and round(one["score"], 4)
        assert mine == wanted
    assert any(one["answers"] for one in parts.values()) and sum(bool(one["reason"]) for one in parts.values()) == 3


def test_what_parts_cannot_do_is_said_before_a_job_runs(session: SparkSession, index: Path, capsys: Any) -> None:
    frame = session.createDataFrame([("When?",)], "question string")
    for words in ('"bridge', "color:red"):
        with pytest.raises(SettingError, match="quotation mark|No document has a field"):
            dataframe.ask(frame, index.parent / "parts", reader="builtin", settings=AskSettings(words=words))
    with pytest.raises(FilterError):
        dataframe.ask(frame, index.parent / "parts", reader="builtin", filters={"$none": 1})
    with pytest.raises(SettingError, match="no column"):
        dataframe.ask(frame, index.parent / "parts", question="asked", reader="builtin")
    assert main(["spark", "split", str(index), "--into", str(index.parent / "none")]) == 2
    assert "--parts" in capsys.readouterr().err
