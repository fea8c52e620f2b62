"""Answers and replies of the service, made by hand."""

from __future__ import annotations

from ui.client.schemas import Answer, NoAnswer, Passage, Reply


def answer(text: str, document: str, score: float = 0.9, language: str = "en", start: int = 0) -> Answer:
    passage = Passage(document, f"{document}.txt", 2, language, start, start + len(text), text)
    return Answer(text, start, start + len(text), score, document, f"{document}.txt", 2, language, "h", passage)


def reply(*answers: Answer) -> Reply:
    passages = tuple(one.passage for one in answers if one.passage)
    verdict = NoAnswer(0.1, 0.5, False)
    return Reply("=When?", "en", answers, passages, verdict, {}, {}, 1, passages_read=1, passages_retrieved=2)
