"""Stand-ins whose behaviour is known: an embedder by words, a reader by words, and texts in many scripts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from indexing.documents import Document
from indexing.models.embedder import unit

if TYPE_CHECKING:
    from qa_pipeline.reading.readings import Reading

SCRIPTS = {
    "ar": "تأسس المرصد عام 1958 على جزيرة فورن. ويعمل فيه اثنا عشر عالماً؟",
    "hi": "संसद में 61 सदस्य हैं। वे हर पाँच साल में चुने जाते हैं।",
    "th": "เรือออกเวลาเจ็ดโมงเช้า และกลับมาในตอนเย็น ราคาตั๋ว 24 สการ์น",
    "zh": "灯塔高五十四米。它于1868年首次点亮！看守人是阿玛莉亚。",
    "ja": "橋は1912年に開通した。長さは1870メートルである。",
    "ko": "도서관은 화요일마다 문을 닫습니다. 입장은 무료입니다.",
    "el": "Το όρος έχει ύψος 2.314 μέτρα; Ναι, ακριβώς.",
    "ru": "Станция работает с марта 2011 года. Её мощность 38 МВт.",
    "en": "The bridge cost 4.6 million pounds. Dr. Ruhlmann designed it, e.g. the arches.",
    "de": "Der Berg ist 2.341 m hoch, z. B. für Wanderer. Er liegt auf Vorn.",
    "mixed": "Cafe\u0301 👩‍👩‍👧 zero\u200bwidth\r\nNUL:\x00 ﬁn 🇫🇷🇩🇪.",
}


class WordEmbedder:
    """A hash of each word seeds its vector; a text is the sum of its words: shared words are near, else far."""

    name = "words"
    fingerprint = dense_score_name = "words-1"
    tokens = None

    def __init__(self, dimension: int = 32) -> None:
        self.dimension = dimension
        self.embedded = 0

    def facts(self) -> dict[str, object]:
        return {"name": self.name, "fingerprint": self.fingerprint, "dimension": self.dimension}

    def passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.embedded += len(texts)
        return self._vectors(texts)

    def questions(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._vectors(texts)

    def _vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = [sum((self._word(w) for w in text.lower().split()), np.zeros(self.dimension)) for text in texts]
        return unit(np.array(rows, dtype=np.float32).reshape(len(texts), self.dimension))

    def _word(self, word: str) -> NDArray[np.float64]:
        word = word.strip(".,?!;:")
        seed = int.from_bytes(hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
        return np.random.default_rng(seed).normal(size=self.dimension)


class WordReader:
    """Answers with the first number of a passage that shares a word with the question; the margin is how many it shares."""

    def read(self, question: str, texts: Sequence[str]) -> list[Reading]:
        return [self._one(set(_words(question)), text) for text in texts]

    def _one(self, asked: set[str], text: str) -> Reading:
        from qa_pipeline.reading.readings import Reading, Span

        shared = len(asked & set(_words(text)))
        for word in text.split():
            number = word.strip(".,?!;:()")
            if number.isdigit():
                start = text.index(number)
                return Reading((Span(start, start + len(number), float(shared), shared - 1.5, 0.5),))
        return Reading()


def _words(text: str) -> list[str]:
    return [word.strip(".,?!;:").lower() for word in text.split()]


class Altered:
    """Documents of a folder, each with a word of its text changed, or with another hash: a damaged index."""

    def __init__(self, folder: Any, word: str, instead: str, field: str = "text") -> None:
        self._folder, self._word, self._instead, self._field = folder, word, instead, field

    def document(self, document_id: str) -> Document:
        found: Document = self._folder.document(document_id)
        if self._word not in found.text:
            return found
        changed = found.text.replace(self._word, self._instead)
        return replace(found, text=changed) if self._field == "text" else replace(found, content_hash="0" * 32)

    def existing(self, ids: Iterable[str]) -> set[str]:
        found: set[str] = self._folder.existing(ids)
        return found
