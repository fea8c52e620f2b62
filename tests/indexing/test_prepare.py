"""Preparing passages: word by word tokens are the tokenizer's, a process of its own gives what this one gives."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import indexing.workers as workers
from indexing.arrays import Matrix
from indexing.files.file_text import FileLimits
from indexing.files.walk import FileReader, FoundFile, find_files
from indexing.models.embedder import Embedder
from indexing.models.registry import builtin_tokenizer, resolve
from indexing.models.word_tokenizer import (
    BEGINS,
    ENDS,
    LETTERS,
    LONGEST,
    MARKS,
    PLAIN,
    WordTokens,
    count_tokens,
    word_tokens,
)
from indexing.prepare import Batch, prepare_batches
from indexing.settings import ChunkSettings
from indexing.store.bm25 import ARRAYS, Segment, term_hash
from indexing.store.corpus_db import FileRecord
from indexing.store.term_hashes import hashes
from indexing.text.search_terms import terms
from indexing.workers import prefetch_batches
from tests.known import SCRIPTS

pieces = st.sampled_from(
    [
        *SCRIPTS.values(),
        " ",
        "  ",
        "\n",
        "\t",
        "\r\n",
        "\u00a0",
        "\u3000",
        "\u0301",
        "e\u0301",
        "👩\u200d👧",
        "\x00",
        "a" * 30,
    ]
)
texts = st.one_of(st.text(max_size=80), st.lists(pieces, max_size=12).map("".join))


@given(st.lists(texts, max_size=6))
def test_tokens_of_words_are_the_tokens_of_the_text(several: list[str]) -> None:
    whole = builtin_tokenizer().encode_batch_fast(several, add_special_tokens=False)
    words = WordTokens()
    for _ in range(2):
        found = [np.frombuffer(ids, dtype=np.int32).tolist() for ids in words.ids(several)]
        assert found == [encoding.ids for encoding in whole]
    assert count_tokens(several) == [len(encoding) for encoding in whole]


letters = st.characters(exclude_categories=["Cs"])  # no text of a document holds half of a character (`without_surrogates`)
plain_words = st.text(st.one_of(st.sampled_from("abc.,()«…、。ーアا\u064bक\u093eก\u0e34é"), letters), max_size=12)
clauses = st.text(
    st.sampled_from("灯塔高五十四米橋はのเรือ1a、。，！？「」\u0e34\u064b，。"), min_size=LONGEST, max_size=3 * LONGEST
)


@given(st.lists(clauses, min_size=1, max_size=3))
def test_clauses_of_unspaced_text_are_tokenized_as_in_the_whole(several: list[str]) -> None:
    words = WordTokens()
    for _ in range(2):
        found = [np.frombuffer(ids, dtype=np.int32).tolist() for ids in words.ids([*several, "".join(several)])]
        whole = builtin_tokenizer().encode_batch([*several, "".join(several)], add_special_tokens=False)
        assert found == [encoding.ids for encoding in whole]


@given(st.lists(plain_words, max_size=12))
@example(["\x85", "0"])
@example(["a\x85", "0", "\x85"])
def test_words_tokenized_together_are_tokenized_alone(words: list[str]) -> None:
    text = " ".join(words)
    assert (
        np.frombuffer(WordTokens().ids([text])[0], np.int32).tolist()
        == builtin_tokenizer().encode(text, add_special_tokens=False).ids
    )


def test_no_letter_is_dropped_at_the_end_of_a_word_only() -> None:
    """Of all characters but white space that parts words, and but U+0085, for which texts are tokenized whole."""
    letters = [chr(code) for code in range(0x10000) if not 0xD800 <= code < 0xE000 and chr(code) not in " \n\t\r\x85"]
    alone, first = (
        [
            encoding.ids
            for encoding in builtin_tokenizer().encode_batch([f"a{x}{more}" for x in letters], add_special_tokens=False)
        ]
        for more in ("", " b")
    )
    last = builtin_tokenizer().encode("b", add_special_tokens=False).ids
    assert [x for x, a, b in zip(letters, alone, first, strict=True) if a + last != b] == []


def test_plain_letters_are_neither_dropped_nor_parted() -> None:
    """All that words tokenized together may be made of: each has its tokens, of which the first alone begins a word."""
    letters = [chr(code) for code in range(0x10000) if re.fullmatch(f"[{LETTERS}]", chr(code))]
    marks = [chr(code) for code in range(0x10000) if re.fullmatch(f"[{MARKS}]", chr(code))]
    words = [*letters, *(letter + mark for mark in marks for letter in "aاकก"), *(f"a{sign}a" for sign in letters)]
    assert len(letters) > 30_000 and len(marks) > 40 and not set(letters) & set("<\u2581 \u00a0\u00b4")
    for word, encoding in zip(words, builtin_tokenizer().encode_batch(words, add_special_tokens=False), strict=True):
        assert PLAIN.fullmatch(word) and [t.startswith(BEGINS) for t in encoding.tokens] == [True] + [False] * (
            len(encoding) - 1
        ), word


def test_only_short_words_are_remembered_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexing.models.word_tokenizer.CACHED_WORDS", 10)
    words = WordTokens()
    words.ids(["x" * (LONGEST + 1) + " short"])
    assert set(words._known) == {"", "short"}
    words.ids([" ".join(f"w{n}" for n in range(20))])
    assert words.count(["one two"]) == count_tokens(["one two"])
    assert len(words._known) == 3


plain = st.text(st.characters(max_codepoint=0x2200), max_size=60)


dense = st.text("กข๐๑٣1ぁ漢字한ៗ\u0e31 .,a\u3005", max_size=30)


@given(st.lists(dense, min_size=1, max_size=4), st.sampled_from(["th", "zh", "en"]))
def test_hashes_are_the_same_whatever_was_met_before(texts: list[str], language: str) -> None:
    for text in texts:
        assert hashes(text, language).tolist() == [term_hash(term) for term in terms(text, language)]


@given(plain, st.sampled_from(["en", "tr", "vi", "ru", "el"]))
def test_hashes_of_plain_text_are_those_of_any_text(text: str, language: str) -> None:
    assert hashes(text, language).tolist() == [term_hash(term) for term in terms(text, language)]


@pytest.mark.parametrize("language", [*SCRIPTS, "und"])
def test_hashes_of_every_script(language: str) -> None:
    for text in SCRIPTS.values():
        assert hashes(text, language).tolist() == [term_hash(term) for term in terms(text, language)]


def test_what_is_remembered_of_words_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexing.store.term_hashes.CACHED_TERMS", 10)
    for n in range(30):
        text = f"w{n} 橋長{n}は"
        assert hashes(text, "en").tolist() == [term_hash(term) for term in terms(text, "en")]


@pytest.fixture
def corpus(tmp_path: Path) -> list[FoundFile]:
    for name, text in SCRIPTS.items():
        (tmp_path / f"{name}.txt").write_text((text + " ") * 40, "utf-8")
    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / "page.html").write_text("<h1>Title</h1><p>" + "Words of a page. " * 50 + "</p>", "utf-8")
    return list(find_files(tmp_path))


@pytest.fixture
def with_helpers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "BYTES_FOR_WORKERS", 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)


def here(files: list[FoundFile]) -> list[Batch]:
    with FileReader(FileLimits()) as reader:
        return list(prepare_batches(reader, files, {}, ChunkSettings(64), Embedder.load("builtin").passages_with_tokens))


def shared(files: list[FoundFile]) -> AbstractContextManager[Iterator[Batch]]:
    """Vectors are made slowly here, so that the helpers have their share."""
    static = resolve("builtin", "embedder")
    embedder = Embedder(static)

    def passages(texts: Sequence[str]) -> tuple[Matrix, list[bytes]]:
        time.sleep(0.3)
        return embedder.passages_with_tokens(texts)

    return prefetch_batches(files, {}, FileLimits(), ChunkSettings(64), passages, static)


def same(found: list[Batch], wanted: list[Batch]) -> bool:
    """The same files in the same order, the same search terms, vectors and tokens, in whatever batches."""
    for one, other in zip(*(_words(batches) for batches in (found, wanted)), strict=True):
        assert np.array_equal(one, other)
    vectors = [np.concatenate([batch.vectors for batch in batches]) for batches in (found, wanted)]  # type: ignore[misc]
    files = [[item for batch in batches for item in batch.files] for batches in (found, wanted)]
    tokens = [[one for batch in batches for one in batch.tokens] for batches in (found, wanted)]
    assert len(tokens[0]) == len(vectors[0])
    return files[0] == files[1] and np.array_equal(vectors[0], vectors[1]) and tokens[0] == tokens[1]


def _words(batches: list[Batch]) -> list[np.ndarray]:
    at, parts = 0, []
    for batch in batches:
        parts.append(replace(batch.words, ids=batch.words.ids + at))
        at += len(batch.words.ids)
    whole = Segment.merge(parts, np.empty(0, np.int64))
    return [getattr(whole, name) for name in ARRAYS]


@pytest.mark.usefixtures("with_helpers")
def test_helpers_give_the_same_in_the_same_order(corpus: list[FoundFile]) -> None:
    with shared(corpus) as batches:
        assert same(list(batches), here(corpus))


@pytest.mark.usefixtures("with_helpers")
def test_without_a_static_model_nothing_is_embedded_ahead(corpus: list[FoundFile]) -> None:
    with prefetch_batches(corpus, {}, FileLimits(), ChunkSettings(64)) as batches:
        assert all(batch.vectors is None for batch in batches)


@pytest.mark.usefixtures("with_helpers")
@pytest.mark.parametrize("when", ["at once", "later"])
def test_when_helpers_die_their_part_is_prepared_here(
    corpus: list[FoundFile], monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    started, processes = workers._started, []

    def doomed() -> object:
        child = started()
        processes.append(child.process)
        if when == "at once":
            _end(child.process)
        return child

    monkeypatch.setattr(workers, "_started", doomed)
    found = []
    with shared(corpus) as batches:
        for batch in batches:
            found.append(batch)
            if when == "later" and len(found) == 5:
                for process in processes:
                    _end(process)
    assert same(found, here(corpus))


def _end(process: subprocess.Popen[bytes]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.usefixtures("with_helpers")
def test_leaving_early_ends_the_helpers(corpus: list[FoundFile], monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []
    started = workers._started
    monkeypatch.setattr(workers, "_started", lambda: kept.append(started()) or kept[-1])
    with pytest.raises(KeyboardInterrupt), shared(corpus) as batches:
        next(batches)
        raise KeyboardInterrupt
    assert len(kept) == 2 and all(process.poll() is not None for process in (child.process for child in kept))


def test_few_files_are_prepared_without_helpers(corpus: list[FoundFile], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_started", lambda: pytest.fail("a helper was started"))
    with shared(corpus) as batches:
        assert same(list(batches), here(corpus))


def test_every_token_id_has_a_place_and_every_pair_across_a_clause_is_known() -> None:
    tokenizer, words = builtin_tokenizer(), word_tokens()
    vocabulary = tokenizer.get_vocab()
    assert words._size() == max(vocabulary.values()) + 1
    pairs = {token[at : at + 2] for token in vocabulary for at, mark in enumerate(token[:-1]) if mark in ENDS.values()}
    assert pairs and words._over == pairs


def test_a_file_that_is_not_read_takes_no_memory(tmp_path: Path) -> None:
    """Such as a disk image: it is hashed in blocks if the index holds its text, else not opened at all."""
    size = 64_000_000
    with open(tmp_path / "disk.bin", "wb") as image:
        image.truncate(size)
    (file,) = find_files(tmp_path)
    digest = hashlib.blake2b(bytes(size), digest_size=16).hexdigest()
    limits = FileLimits(max_bytes=1_000)
    for records, expected in (
        ({}, ("", False)),
        ({"disk.bin": FileRecord("disk.bin", digest, size, 0, 0)}, (digest, True)),
        ({"disk.bin": FileRecord("disk.bin", "0" * 32, size, 0, 0)}, (digest, False)),
        ({"disk.bin": FileRecord("disk.bin", "0" * 32, 3, 0, 0)}, ("", False)),
    ):
        tracemalloc.start()
        with FileReader(limits) as reader:
            (batch,) = prepare_batches(reader, [file], records, ChunkSettings())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        ((read, _),) = batch.files
        assert (read.hash, read.keep) == expected and "more than the 1,000 allowed" in read.reason
        assert peak < size // 8
