"""A tokenizer of which few texts need only a part."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from indexing.errors import ModelMissing
from indexing.models import lazy_tokenizer, registry
from indexing.models.lazy_tokenizer import LazyTokenizer, vocabulary, whole_tokenizer

FILE = registry.PACKAGED / "shared" / "tokenizer.json"
TEXTS = [
    "",
    " ",
    "How long is the bridge at Marsh End?",
    "Die Brücke ist 1.204 m lang — −18,5 °C.",
    "सेतु कितना लंबा है? १२३",
    "สะพานยาวเท่าไร",
    "橋はどのくらい長いですか。ﾎﾟﾝﾌﾟ",
    "ما طول الجسر؟ ٢٠٢١",
    "ＧＰＴ４ ½ ﬁn é e\u0301 \u200b\u00ad x\u2028y\u0085z",
    "\U0001f600\U0001f469\u200d\U0001f680 \U000e0041 \ue000 \U00013000",
    "a<mask>b",
    "<s> and </s>",
    "▁under▁line",
    "tab\tnew\nline\r\n  many   spaces ",
]


def random_texts(count: int) -> list[str]:
    rng = random.Random(5)
    ranges = [(32, 126), (0xA0, 0x24F), (0x370, 0x52F), (0x590, 0x6FF), (0x900, 0x97F), (0xE00, 0xE7F), (0x3000, 0x30FF)]
    ranges += [(0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xFF00, 0xFFEF), (0x1F300, 0x1F64F), (0x0, 0x2FF), (0x2000, 0x206F)]
    words = "the of water bridge Brücke река 橋 जल น้ำ ماء σίδερο cầu 2021 GPT-4 ".split(" ")
    found = []
    for _ in range(count):
        low, high = rng.choice(ranges)
        letters = ["".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 9))) for _ in range(rng.randint(0, 12))]
        found.append(rng.choice(["", " ", "\u3000"]).join(rng.sample(letters + words, len(letters))))
    return found


@pytest.fixture(scope="module")
def whole() -> Tokenizer:
    return whole_tokenizer(FILE, truncates=True)


def lazy(file: Path = FILE, truncates: bool = True) -> LazyTokenizer:
    found = vocabulary(file)
    assert found is not None
    return LazyTokenizer(file, found, truncates=truncates)


def facts(made: object) -> tuple[object, ...]:
    return made.ids, made.offsets, made.type_ids, made.sequence_ids  # type: ignore[attr-defined]


@pytest.mark.parametrize("special", [True, False])
def test_tokens_and_offsets_are_those_of_the_whole_tokenizer(whole: Tokenizer, special: bool) -> None:
    for text in TEXTS + random_texts(400):
        mine = lazy_tokenizer.Vocabulary.part(VOCABULARY, [text], truncates=True)
        if mine is None:
            assert any(token in text for token in ("<s>", "</s>", "<pad>", "<unk>", "<mask>"))
            continue
        made = mine.encoded(mine.tokenizer.encode(text, add_special_tokens=special))
        assert facts(made) == facts(whole.encode(text, add_special_tokens=special)), text


def test_pairs_and_batches_are_those_of_the_whole_tokenizer(whole: Tokenizer) -> None:
    made = lazy()
    for one, other in zip(TEXTS, reversed(TEXTS), strict=True):
        assert facts(made.encode(one, other)) == facts(whole.encode(one, other))
    for special in (True, False):
        batch = made.encode_batch(TEXTS, add_special_tokens=special)
        assert [facts(one) for one in batch] == [facts(one) for one in whole.encode_batch(TEXTS, add_special_tokens=special)]


def test_much_text_loads_the_whole_tokenizer_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []

    def counted(file: Path, *, truncates: bool) -> Tokenizer:
        loads.append(file)
        return whole_tokenizer(file, truncates=truncates)

    monkeypatch.setattr(lazy_tokenizer, "whole_tokenizer", counted)
    made = lazy()
    first = made.encode("a bridge").ids
    assert loads == []
    made.encode_batch(["long " * lazy_tokenizer.WHOLE_FROM])
    assert made.encode("a bridge").ids == first
    assert loads == [FILE]
    assert made.get_vocab_size() > lazy_tokenizer.WORTH


def test_the_whole_tokenizer_is_not_kept_beside_its_parts() -> None:
    made = lazy()
    made.encode("a bridge")
    kept = made.vocabulary.__dict__
    assert "_tokens" in kept and "_numbers" in kept
    text = made.vocabulary.text()
    made.whole()
    assert "_tokens" not in kept and "_numbers" not in kept
    assert made.vocabulary.text() == text and "_tokens" not in kept
    assert made.vocabulary.part(["a bridge"], truncates=True) is not None, "read again where it is needed"


def test_truncation_is_that_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    stated = json.loads(FILE.read_bytes())
    stated["truncation"] = {"direction": "Right", "max_length": 12, "strategy": "LongestFirst", "stride": 0}
    file.write_text(json.dumps(stated), encoding="utf-8")
    text = "one two three four five six seven eight nine ten eleven twelve thirteen"
    assert facts(lazy(file).encode(text)) == facts(Tokenizer.from_file(str(file)).encode(text))
    assert len(lazy(file).encode(text).ids) == 12
    assert len(lazy(file, truncates=False).encode(text).ids) > 12


@pytest.mark.parametrize("change", ["small", "bytes", "sequence"])
def test_other_tokenizers_are_loaded_whole(tmp_path: Path, change: str) -> None:
    stated = json.loads(FILE.read_bytes())
    if change == "small":
        stated["model"]["vocab"] = stated["model"]["vocab"][:5_000]
        stated["added_tokens"] = stated["added_tokens"][:4]
    elif change == "bytes":
        stated["model"]["byte_fallback"] = True
    else:
        stated["post_processor"] = {"type": "Sequence", "processors": [stated["post_processor"]]}
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps(stated), encoding="utf-8")
    assert vocabulary(file) is None
    assert isinstance(registry.load_tokenizer(file, "mine"), Tokenizer)


def test_a_cache_that_cannot_be_written_loads_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(name: str, make: object) -> Path:
        raise ModelMissing("A model cannot be prepared: no space left on device.")

    monkeypatch.setattr(lazy_tokenizer, "make_once", full)
    file = tmp_path / "tokenizer.json"
    file.write_text(FILE.read_text("utf-8") + "\n", "utf-8")
    assert isinstance(registry.load_tokenizer(file, "mine"), Tokenizer)


def test_a_service_loads_everything_at_its_start(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    shutil.copyfile(FILE, file)
    made = registry.load_tokenizer(file, "mine")
    assert isinstance(made, LazyTokenizer)
    registry.load_whole_tokenizers()
    assert isinstance(made.encode("a"), type(made.whole().encode("a")))


_found = vocabulary(FILE)
assert _found is not None
VOCABULARY = _found
