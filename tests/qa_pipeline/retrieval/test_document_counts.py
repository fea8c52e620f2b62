"""Documents of a search by words: equal to counting each passage, and no passage is looked up twice."""

from __future__ import annotations

from collections import Counter

import numpy as np

from indexing.arrays import Ids
from qa_pipeline.retrieval.document_counts import DocumentCounts

IDS = np.arange(10, 110, 3, dtype=np.int64)
LOST = 25


class Folder:
    """Passages of seven documents, one of which cannot be read."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def documents_of(self, ids: Ids) -> list[tuple[int, str, str]]:
        self.asked += ids.tolist()
        return [(n, f"id{n * n % 7}", f"{n * n % 7}.txt") for n in ids.tolist() if n != LOST]


def test_it_equals_counting_each_passage() -> None:
    folder, random = Folder(), np.random.default_rng(1)
    counts = DocumentCounts(folder, IDS)  # type: ignore[arg-type]
    for _ in range(50):
        ids = IDS[random.random(len(IDS)) < random.random()]
        wanted = Counter((document, source) for _, document, source in Folder().documents_of(ids))
        total, found = counts.of(ids, 3)
        assert total == len(wanted)
        assert [(one.document_id, one.source, one.passages) for one in found] == [
            (*document, count) for document, count in wanted.most_common(3)
        ]
    assert len(folder.asked) == len(set(folder.asked)) and LOST in folder.asked
