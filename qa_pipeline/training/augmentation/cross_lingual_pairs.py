"""Cross-lingual pairs from parallel files: a question in one language over a context in another.

The same augmentation was used for models trained on XQuAD. Files are parallel if they share ids that lead to the same
pairs of paragraphs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from indexing.errors import SettingError
from qa_pipeline.datasets.examples import Example
from qa_pipeline.datasets.split import parallel_ids
from qa_pipeline.datasets.squad_writer import GeneratedExample

HOW = "pairs"


def pairings(examples: Sequence[Example]) -> Iterator[GeneratedExample]:
    """All combinations of question language and context language for each parallel question, monolingual ones included.

    Raises SettingError if no two files are parallel.
    """
    found = list(_sets(examples))
    if not any(len(versions) > 1 for versions in found):
        raise SettingError("No two of these files hold the same questions in different languages, told by their ids.")
    for versions in found:
        for asked in versions:
            for read in versions:
                yield _paired(asked, read)


def _sets(examples: Sequence[Example]) -> Iterator[list[Example]]:
    """The versions of each question, one per language, ordered by language code; only parallel files are grouped."""
    own = [e for e in examples if e.language == e.question_language]
    files: defaultdict[tuple[str, str], dict[str, Example]] = defaultdict(dict)
    for example in own:
        files[example.origin, example.language][example.id] = example
    contexts = {file: {id: e.context for id, e in held.items()} for file, held in files.items()}
    order = sorted(files, key=lambda file: (file[1], file[0]))
    waiting = {file: set(held) for file, held in files.items()}
    for n, file in enumerate(order):
        others = [o for o in order[n + 1 :] if o[1] != file[1]]
        shared = {o: set(parallel_ids(contexts[file], contexts[o])) for o in others}
        for id, example in files[file].items():
            if id in waiting[file]:
                versions = {file[1]: example}
                for other in others:
                    if id in shared[other] and id in waiting[other] and other[1] not in versions:
                        versions[other[1]] = files[other][id]
                        waiting[other].discard(id)
                yield list(versions.values())


def _paired(asked: Example, read: Example) -> GeneratedExample:
    made = replace(
        read, id=f"{read.id}:{asked.language}-{read.language}", question=asked.question, question_language=asked.language
    )
    return GeneratedExample(made, HOW, tuple(dict.fromkeys(f"{e.origin}:{e.id}" for e in (asked, read))))
