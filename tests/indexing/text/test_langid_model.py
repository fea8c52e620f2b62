"""Chances of languages are py3langid's own, alone as together, and the model is unpacked into the cache once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexing.text import langid_model
from indexing.text.langid_model import FEW, LanguageModel, load
from indexing.text.language_id import LANGUAGES, UNKNOWN, detect, detect_all
from tests.known import SCRIPTS
from tests.tiny import UGLY

TEXTS = [*SCRIPTS.values(), *UGLY, "", "123", "SHOUTED WORDS OF ENGLISH", "Ä", "x" * 2_000]


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return load(LANGUAGES)


@pytest.fixture(scope="module")
def theirs() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(sorted(set(LANGUAGES) & set(identifier.labels)))
    return identifier


def agrees(model: LanguageModel, theirs: Any, texts: list[str]) -> None:
    languages, chances = model.chances(texts)
    assert len(set(languages)) == len(languages) and set(languages) <= set(LANGUAGES)
    for text, row in zip(texts, chances, strict=True):
        wanted = dict(theirs.rank(text))
        assert [wanted[language] for language in languages] == pytest.approx(row.tolist(), abs=1e-4)


def test_chances_are_those_of_py3langid(model: LanguageModel, theirs: Any) -> None:
    agrees(model, theirs, TEXTS)
    agrees(model, theirs, TEXTS[:FEW])


@given(st.lists(st.text(max_size=40), min_size=1, max_size=4))
def test_also_for_any_unicode(model: LanguageModel, theirs: Any, texts: list[str]) -> None:
    agrees(model, theirs, texts)


def test_a_text_is_judged_alike_whatever_is_beside_it(model: LanguageModel) -> None:
    assert len(TEXTS) > FEW
    _, together = model.chances(TEXTS)
    assert np.array_equal(together, np.concatenate([model.chances([text])[1] for text in TEXTS]))
    assert detect_all(TEXTS) == [detect(text) for text in TEXTS]
    assert detect_all([]) == [] and detect("42").language == UNKNOWN


def test_the_model_is_unpacked_once(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCQA_CACHE", str(tmp_path))
    first = load(["de", "en"])
    monkeypatch.setattr(langid_model, "_unpack", lambda *_: pytest.fail("unpacked again"))
    again = load(["en", "de"])
    assert first.languages == again.languages and set(first.languages) == {"de", "en"}
    assert np.array_equal(first.weights, again.weights) and not again.steps.flags.writeable
