"""Score explanation of an answer: the score of each stage in one table."""

from __future__ import annotations

from ui.client.schemas import Answer, Passage
from ui.render.highlight import escape_html
from ui.state.reply_cache import CachedReply


def why(answer: Answer, found: CachedReply) -> str:
    """HTML table: ranks and scores of the passage, reader score, missing facts, no-answer margin, timings, passages read."""
    rows = [*(_ranks(answer.passage) if answer.passage else []), ("Reader", "", f"{answer.score:.3f}")]
    verdict = found.reply.no_answer
    margin = verdict.threshold - verdict.score
    missing = answer.passage.missing if answer.passage else ()
    facts = [
        *([("Not in the passage", named(missing))] if missing else []),
        ("No-answer margin", f"{margin:+.3f} (no-answer score {verdict.score:.3f}, threshold {verdict.threshold:.3f})"),
        ("Passages read", f"{found.reply.passages_read} of {found.reply.passages_retrieved}"),
        ("Time", ", ".join(f"{escape_html(stage)} {ms:,.0f} ms" for stage, ms in found.reply.timings_ms.items())),
    ]
    if found.reply.deepened is not None:
        facts.append(("Deepened", f"{int(100 * found.reply.deepened)} % of the passages"))
    ranked = "".join(f"<tr><th>{label}</th><td>{rank}</td><td>{score}</td></tr>" for label, rank, score in rows)
    told = "".join(f'<tr><th>{label}</th><td colspan="2">{text}</td></tr>' for label, text in facts)
    head = "<thead><tr><th>Stage</th><th>Rank</th><th>Score</th></tr></thead>"
    return f'<table class="docqa-why">{head}<tbody>{ranked}{told}</tbody></table>'


def named(missing: tuple[str, ...]) -> str:
    """Numbers, codes and names of the question that a passage lacks, as HTML."""
    return ", ".join(f'<bdi class="docqa-missing">{escape_html(fact)}</bdi>' for fact in missing)


def _ranks(passage: Passage) -> list[tuple[str, str, str]]:
    return [
        ("Meaning (dense)", *_pair(passage.dense_rank, passage.dense_score)),
        ("Words (keyword)", *_pair(passage.keyword_rank, passage.keyword_score)),
        ("Both together", str(passage.fused_rank), f"{passage.fused_score:.4f}"),
    ]


def _pair(rank: int | None, score: float | None) -> tuple[str, str]:
    return ("not ranked", "") if rank is None else (str(rank), "" if score is None else f"{score:.3f}")
