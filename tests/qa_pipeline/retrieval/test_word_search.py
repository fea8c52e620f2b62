"""Search by words: equal to comparing every passage, in every script; with filters, counts, and as a condition."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from indexing.build import build_index
from indexing.errors import SettingError
from indexing.store.corpus_db import IndexFolder
from indexing.store.index import Index
from indexing.store.word_file import restricted
from indexing.store.word_positions import WordPositions
from indexing.text.search_terms import DENSE
from indexing.text.word_query import Field, match, parse
from indexing.text.word_tokens import tokens
from qa_pipeline.retrieval import word_search
from qa_pipeline.retrieval.word_search import WordSearcher, field_filter
from tests.known import SCRIPTS, WordEmbedder

QUERIES = 1_500
ODD = {
    "odd/accents.txt": "Café CAFÉ cafe\u0301, naïve coöperation; Straße STRASSE; ﬁnal ½ 1,150 and 1.150 and 1 150.",
    "odd/codes.txt": "GPT-4, GPT4, ISO 27001 and ISO27001; well-known things; it's O'Neil's; e-mail a.b@c.de; 2019-07-01.",
    "odd/thai.txt": "น\u0e4d\u0e32ตกสวย น้ำตก\u200bสวย 24 สการ์น",
    "odd/kana.txt": "ﾎﾟﾝﾌﾟ場のポンプ。ＡＢＣ会社 二〇二一年 東 京 都",
    "odd/long.txt": ("word " * 30 + "x" * 80 + " ") * 3,
    "odd/numbers.txt": "It has 72 340 inhabitants and the number (030) 555 12 34.",
    "odd/bidi.txt": "\u202bالمرصد\u202c ١٢٣ المَرْصَد ـ مـرصـد",
}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """Passages of every script: each text alone, and all mixed."""
    home = tmp_path_factory.mktemp("words")
    draw = random.Random(5)
    sentences = [part for text in SCRIPTS.values() for part in text.replace("। ", "।\n").split("\n")]
    files = {f"plain/{name}.txt": text for name, text in SCRIPTS.items()} | ODD
    files |= {f"mixed/{n}.txt": " ".join(draw.sample(sentences, 4)) for n in range(40)}
    for name, text in files.items():
        path = home / "documents" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    records = '{"text": "The mill opened in 1850.", "author": "N. N.", "year": 1850}\n'
    (home / "documents" / "records.jsonl").write_text(records * 2, encoding="utf-8")
    build_index(home / "documents", home / "index", embedder=WordEmbedder())  # type: ignore[arg-type]
    with IndexFolder.open(home / "index") as folder:
        yield Index(folder)


def naive(index: Index, query: str) -> dict[int, list[tuple[int, int]]]:
    """Every passage compared with the query."""
    node = parse(query)
    folder, found = index.folder, {}
    for number, text, language in folder.texts(folder.chunk_ids()):
        (chunk,) = folder.chunks([number])

        def is_field(field: Field, language: str = language, source: str = chunk.source) -> bool:
            return language == field.value if field.name == "language" else source.startswith(field.value.rstrip("*"))

        spans = match(node, tokens(text), is_field)
        if spans is not None:
            found[number] = spans
    return found


def drawn(draw: random.Random, texts: list[str], depth: int = 2) -> str:
    """A random query whose words come from the texts, so that most have hits."""

    def word() -> str:
        text = draw.choice(texts)
        at = draw.randrange(len(text))
        piece = text[at : at + draw.choice((1, 2, 3, 5, 12))]
        kept = (
            "".join(sign for sign in piece if sign not in '"“”„()*:') if draw.random() < 0.5 else draw.choice(text.split())
        )
        kept = kept.strip('"“”„()*:')
        return kept if any(token.key for token in tokens(kept)) and not kept.isupper() else "bridge"

    def short() -> str:
        return next((part for part in word().split() if any(token.key for token in tokens(part))), "bridge")

    kind = draw.randrange(10)
    if depth and kind < 4:
        left, right = (drawn(draw, texts, depth - 1) for _ in range(2))
        return f"({left}) {draw.choice(('AND', 'OR', 'AND NOT', 'OR NOT', ''))} ({right})"
    if kind == 4:
        return f"{short()} NEAR/{draw.randrange(6)} {short()}"
    if kind == 5:
        return f'"{word()} {word()}"'
    if kind == 6:
        text = draw.choice(texts)
        at = draw.randrange(len(text))
        phrase = "".join(sign for sign in text[at : at + 15] if sign not in '"“”„')
        return f'"{phrase}"' if any(token.key for token in tokens(phrase)) else "bridge"
    if kind == 7:
        return f"{short()}*"
    if kind == 8:
        return draw.choice(("language:de", "language:zh", "NOT language:en", "source:mixed/*", "source:odd/*"))
    return word()


def positions(index: Index, part: str) -> WordPositions | None:
    """The positions of all passages, of every other one, or none as in an index of an earlier docqa."""
    ids = index.folder.chunk_ids()
    if part == "none":
        return None
    return index.words.newest() if part == "all" else restricted(WordPositions.build(passages(index)), ids[::2])


def passages(index: Index) -> Iterator[tuple[int, str]]:
    return ((number, text) for number, text, _ in index.folder.texts(index.folder.chunk_ids()))


@pytest.mark.parametrize(("part", "many"), [("all", 0), ("half", 0), ("none", 0), ("none", word_search.MANY)])
def test_it_equals_comparing_every_passage(index: Index, part: str, many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_search, "MANY", many)
    stored = positions(index, part)
    assert stored is None or len(stored.ids) == len(index.folder.chunk_ids()[:: 1 + (part == "half")])
    monkeypatch.setattr(index.words, "newest", lambda: stored)
    draw = random.Random(f"{part} {many}")
    texts = [text for _, text, _ in index.folder.texts(index.folder.chunk_ids())]
    parsed = {number: tokens(text) for number, text, _ in index.folder.texts(index.folder.chunk_ids())}
    chunks = {chunk.id: chunk for chunk in index.folder.chunks(list(parsed))}
    searcher, empty = WordSearcher(index), 0
    with index.snapshot() as snapshot:
        for _ in range(QUERIES):
            query = drawn(draw, texts)
            node = parse(query)

            def is_field(field: Field, number: int) -> bool:
                chunk = chunks[number]
                return (
                    chunk.language == field.value if field.name == "language" else chunk.source.startswith(field.value[:-1])
                )

            wanted = {n: match(node, text, lambda f, n=n: is_field(f, n)) for n, text in parsed.items()}  # type: ignore[misc]
            found = searcher.matches(snapshot, node)
            assert found.ids.tolist() == sorted(n for n, spans in wanted.items() if spans is not None), query
            assert all(found.spans(n, chunks[n].text) == wanted[n] for n in found.ids.tolist()), query
            empty += not len(found.ids)
    assert empty < QUERIES / 2


@pytest.mark.parametrize("part", ["all", "half", "none"])
@pytest.mark.parametrize("query", ["都* OR 木", "京", "b* AND NOT bridge", "NOT bridge", "橋*", "ก", "7234*", "72340"])
def test_parts_of_words_come_from_the_vocabulary(
    index: Index, query: str, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = positions(index, part)
    monkeypatch.setattr(index.words, "newest", lambda: stored)
    with index.snapshot() as snapshot:
        found = WordSearcher(index).matches(snapshot, parse(query))
        texts = {number: text for number, text, _ in index.folder.texts(found.ids)}
        assert {number: found.spans(number, text) for number, text in texts.items()} == naive(index, query) != {}


def test_counts_marks_and_pages_of_hits(index: Index) -> None:
    searcher = WordSearcher(index)
    whole = searcher.search("bridge", limit=100)
    assert whole.passages == len(whole.hits) == sum(one.passages for one in whole.by_document) > 3
    assert whole.documents == len(whole.by_document) == len({hit.document_id for hit in whole.hits})
    for hit in whole.hits:
        text = index.folder.document(hit.document_id).text
        assert text[hit.start : hit.end] == hit.text and hit.marks
        assert {text[start:end].lower() for start, end in hit.marks} == {"bridge"}
    scores = [hit.score for hit in whole.hits]
    assert scores == sorted(scores, reverse=True) and scores[0] > 0
    parts = [searcher.search("bridge", offset=at, limit=2).hits for at in range(0, whole.passages, 2)]
    assert tuple(hit for part in parts for hit in part) == whole.hits
    assert searcher.search("bridge", offset=10_000).hits == () and searcher.search("zzz").passages == 0


def test_filters_are_a_boundary(index: Index) -> None:
    searcher = WordSearcher(index)
    found = searcher.search("bridge OR NOT bridge", {"source": {"$glob": "plain/*"}}, limit=100)
    assert found.passages == len(SCRIPTS) and all(hit.source.startswith("plain/") for hit in found.hits)
    assert searcher.search("bridge").passages > searcher.search("bridge", {"language": "en"}).passages > 0
    assert searcher.search("bridge", {"language": []}).passages == 0
    with index.snapshot() as snapshot:
        few = searcher.within(snapshot, "bridge", {"language": "en"})
        assert few.within is not None
        node = parse("bridge OR NOT bridge")
        for _ in range(2):
            assert len(searcher.matches(snapshot, node).ids) > len(searcher.matches(few, node).ids) == len(few.within)


def test_further_pages_compare_no_passage_again(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    searcher = WordSearcher(index)
    whole = searcher.search("bridge language:en", limit=100)

    def texts(*_: object) -> None:
        raise AssertionError("a passage is compared again")

    monkeypatch.setattr(IndexFolder, "texts", texts)
    assert searcher.search("bridge language:en", offset=1, limit=2).hits == whole.hits[1:3] != ()


def test_no_text_is_read_where_positions_prove_a_match(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also not for the first prefix and the first single character."""

    def texts(*_: object) -> None:
        raise AssertionError("a text is read")

    monkeypatch.setattr(IndexFolder, "texts", texts)
    for query in ("bri*", "京", '"the bridge"', "NOT bridge", "the NEAR/9 bridge"):
        assert WordSearcher(index).search(query).passages, query


def test_queries_without_hits_do_not_pile_up(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_search, "CACHED_IDS", 20_000)
    searcher = WordSearcher(index)
    for number in range(60):
        assert searcher.search(f"nowhere{number}").passages == 0
    assert 0 < len(searcher._recent) <= 20


def test_fields_of_documents(index: Index) -> None:
    searcher = WordSearcher(index)
    assert {hit.source for hit in searcher.search("year:1850").hits} == {"records.jsonl#1", "records.jsonl#2"}
    assert searcher.search('author:"N. N." mill').passages == 2 and searcher.search("author:N*").passages == 2
    assert searcher.search("type:txt bridge").passages == searcher.search("bridge").passages
    with pytest.raises(SettingError, match="No document has a field 'colour'"):
        searcher.search("colour:red")
    with pytest.raises(SettingError, match="is no page"):
        searcher.search("page:x")
    assert field_filter(Field("language", "DE"), index.folder.has_field) == {"language": "de"}


def test_words_written_later_are_found(tmp_path: Path) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "a.txt").write_text("A bridge of stone.", encoding="utf-8")
    (documents / "c.txt").write_text("Another text.", encoding="utf-8")
    build_index(documents, tmp_path / "index", embedder=WordEmbedder())  # type: ignore[arg-type]
    with IndexFolder.open(tmp_path / "index") as folder:
        searcher = WordSearcher(Index(folder))
        assert searcher.search("bri*").passages == 1
        (documents / "b.txt").write_text("A bright day. 東京", encoding="utf-8")
        (documents / "a.txt").unlink()
        build_index(documents, tmp_path / "index", embedder=WordEmbedder())  # type: ignore[arg-type]
        assert [hit.source for hit in searcher.search("bri*").hits] == ["b.txt"] and searcher.search("京").passages == 1
    assert DENSE.match("京") is not None
