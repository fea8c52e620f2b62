"""More questions from what one has: each keeps where it came from, every span holds, near repeats are dropped."""

from __future__ import annotations

import json
import lzma
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexing.errors import ModelMissing, SettingError, UnreadableFile
from qa_pipeline.cli.main import main
from qa_pipeline.datasets.examples import Example, Gold, read_examples
from qa_pipeline.datasets.squad_writer import GeneratedExample, squad
from qa_pipeline.training.alignment.word_dictionary import Dictionary, dictionaries, learn_dictionary, spans
from qa_pipeline.training.augmentation.augment import AugmentSettings, augment, drop_near_duplicates, is_sound
from qa_pipeline.training.augmentation.back_translation import translate_questions, translator
from qa_pipeline.training.augmentation.cloze import GAP, clozes
from qa_pipeline.training.augmentation.code_switching import code_switch, replace_words
from qa_pipeline.training.augmentation.cross_lingual_pairs import pairings
from qa_pipeline.training.augmentation.near_duplicates import NearDuplicateIndex, jaccard, shingles
from tests.known import SCRIPTS

XQUAD = Path(__file__).resolve().parents[5] / "shared" / "data" / "xquad"
ELEVEN = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")
SPOKEN = "the bridge is old . the old tower is high . a tower stands here . the high bridge stands . is the tower old".split(
    " . "
)
HEARD = "die brücke ist alt . der alte turm ist hoch . ein turm steht hier . die hohe brücke steht . ist der turm alt".split(
    " . "
)


def versions(ids: int = 3, languages: tuple[str, ...] = ELEVEN) -> list[Example]:
    return [
        Example(
            f"5733be284776f4190066117{n}",
            f"{language} asks {n}?",
            f"{language} paragraph {n} says {n}{n}.",
            (Gold(f"{n}{n}", len(f"{language} paragraph {n} says ")),),
            language,
            language,
            "T",
            f"xquad.{language}.json",
        )
        for language in languages
        for n in range(ids)
    ]


# -- pairs -------------------------------------------------------------------------------------------------------------


def test_eleven_languages_make_121_pairings_of_each_question() -> None:
    made = list(pairings(versions()))
    assert len(made) == 3 * 121
    pairs = Counter((m.example.question_language, m.example.language) for m in made)
    assert len(pairs) == 121 and set(pairs.values()) == {3}
    assert len({m.example.id for m in made}) == len(made)
    for one in made:
        example = one.example
        assert is_sound(example) and example.question.startswith(example.question_language)
        assert example.context.startswith(example.language) and example.question[-2] == example.golds[0].text[0]
        assert one.how == "pairs" and all(example.id.split(":")[0] in source for source in one.made_from)
        assert len(one.made_from) == (1 if example.language == example.question_language else 2)


def test_counted_ids_are_not_paired() -> None:
    a = [Example(str(n), "Q?", f"en {n // 2}", (), "en", "en", "", "a.json") for n in range(10)]
    b = [Example(str(n), "Q?", f"de {n // 3}", (), "de", "de", "", "b.json") for n in range(10)]
    with pytest.raises(SettingError, match="No two of these files"):
        list(pairings([*a, *b]))


@pytest.mark.skipif(not XQUAD.is_dir(), reason="XQuAD is not beside this checkout")
def test_xquad_is_paired() -> None:
    files = [read_examples(XQUAD / f"xquad.{language}.json", lambda _: None) for language in ("en", "th")]
    made = list(pairings([e for file in files for e in file]))
    assert len(made) == 4 * 1190 and all(is_sound(m.example) for m in made)


# -- dictionary and switch ---------------------------------------------------------------------------------------------


def test_a_dictionary_is_learned_from_sentences() -> None:
    """Sentences of a made-up language whose translation is known word by word, in another order."""
    import random

    draw = random.Random(4)
    known = {f"word{n}": f"mot{n}" for n in range(30)}
    texts = [draw.choices(sorted(known), weights=range(1, 31), k=draw.randint(2, 9)) for _ in range(200)]
    pairs = [(" ".join(text), " ".join(draw.sample([known[word] for word in text], len(text)))) for text in texts]
    forth, back = learn_dictionary(pairs, "en", "fr")
    assert len(forth.words) >= 25 and all(known[word] == found for word, found in forth.words.items())
    assert {b: a for a, b in forth.words.items()} == back.words and (back.source, back.target) == ("fr", "en")
    assert not learn_dictionary([], "en", "de")[0].words


def test_rare_pairs_are_not_learned() -> None:
    assert not learn_dictionary([("tower", "turm")] * 2, "en", "de")[0].words
    assert learn_dictionary([("tower", "turm")] * 3, "en", "de")[0].words == {"tower": "turm"}


def test_words_of_scripts_without_spaces_are_pieces() -> None:
    for language in ("zh", "th", "ja"):
        text = SCRIPTS[language]
        found = spans(text, language)
        assert len(found) > 5 and all(text[a:b].strip() for a, b in found)
        assert all(end <= begin for (_, end), (begin, _) in zip(found, found[1:], strict=False))


def test_dictionaries_are_read_from_files(tmp_path: Path) -> None:
    lines = "".join(f"{a}\t{b}\n" for a, b in zip(SPOKEN, HEARD, strict=True)) * 3
    (tmp_path / "en-de.tsv.xz").write_bytes(lzma.compress(lines.encode()))
    (tmp_path / "x-x.tsv").write_text("a\tb\tc\td\n")
    assert [(d.source, d.target) for d in dictionaries(tmp_path)] == [("en", "de"), ("de", "en")]
    with pytest.raises(SettingError, match="no parallel sentences"):
        dictionaries(tmp_path, ["fi"])
    (tmp_path / "en-fi.tsv").write_text("one column\n")
    with pytest.raises(UnreadableFile, match="line 1"):
        dictionaries(tmp_path, ["fi"])


WORDS = Dictionary("en", "xx", {"the": "d", "bridge": "brücke", "cost": "kostetesehrviel", "pounds": "£", "arches": "bögen"})


@given(data=st.data())
def test_answers_stay_in_their_places(data: st.DataObject) -> None:
    """Any span of any text: what was between the answer's edges still is, in its new words."""
    import random

    text = data.draw(st.sampled_from([SCRIPTS["en"], f"{SCRIPTS['en']} {SCRIPTS['mixed']} the bridge", "bridge"]))
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    made = replace_words(text, WORDS, data.draw(st.floats(0, 1)), (start, end), random.Random(data.draw(st.integers(0, 99))))
    left, answer, right = (
        made.text[: made.new_place(start)],
        made.text[made.new_place(start) : made.new_place(end)],
        made.text[made.new_place(end) :],
    )
    for now, old in ((left, text[:start]), (answer, text[start:end]), (right, text[end:])):
        assert _undone(now) == _undone(old)


def _undone(text: str) -> str:
    lowered = text.lower()
    for old, put in WORDS.words.items():
        lowered = lowered.replace(put, old) if len(put) > 1 else lowered
    return lowered.replace("£", "pounds").replace("the", "d")


def test_variants_are_switched() -> None:
    forth, _ = learn_dictionary([(a, b) for a, b in zip(SPOKEN, HEARD, strict=True)] * 3, "en", "de")
    context = "The old Tower stands. The bridge is high."
    given_ = [
        Example(str(n), "Is the bridge old?", context, (Gold("Tower", 8),), "en", "en", "", "a.json") for n in range(9)
    ]
    made = list(code_switch(given_, [forth], seed=2))
    assert made and all(is_sound(m.example) and m.made_from == (f"a.json:{m.example.id[0]}",) for m in made)
    assert {m.example.golds[0].text for m in made} == {"Tower", "Turm"}
    assert made == list(code_switch(given_, [forth], seed=2)) != list(code_switch(given_, [forth], seed=3))
    with pytest.raises(SettingError, match="no dictionary"):
        list(code_switch(given_, [Dictionary("fi", "en", {"a": "b"})], seed=2))


# -- cloze -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "de", "ru", "ar", "hi", "th", "zh"])
def test_gaps_are_made_in_every_script(language: str, tmp_path: Path) -> None:
    (tmp_path / f"{language}.txt").write_text(f"{SCRIPTS[language]}\n\n" * 12, encoding="utf-8")
    made = list(clozes([tmp_path / f"{language}.txt"], seed=1))
    assert made
    for one in made:
        example = one.example
        assert is_sound(example) and example.language == language and example.question.count(GAP) == 1
        assert one.how == "cloze" and one.made_from[0].startswith(f"{language}.txt:")


def test_the_gap_stands_for_the_answer(tmp_path: Path) -> None:
    (tmp_path / "en.txt").write_text("The bridge was opened by the mayor in 1912 after four long years.\n")
    (made,) = clozes([tmp_path / "en.txt"], seed=1)
    assert made.example.golds == (Gold("1912", 38),)
    assert "1912" not in made.example.question and GAP in made.example.question


def test_clozes_need_text(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text(" \n")
    with pytest.raises(UnreadableFile, match="empty"):
        list(clozes([tmp_path / "empty.txt"], 1))
    with pytest.raises(SettingError, match="no file"):
        list(clozes([tmp_path / "none.txt"], 1))


# -- translate ---------------------------------------------------------------------------------------------------------


def test_questions_go_there_and_back() -> None:
    examples = versions(languages=("en",))
    made = list(
        translate_questions(
            examples, [lambda texts: [t.upper() for t in texts], lambda texts: [f" {t}\n!" for t in texts]], None
        )
    )
    assert [m.example.question for m in made] == ["EN ASKS 0? !", "EN ASKS 1? !", "EN ASKS 2? !"]
    assert {m.example.question_language for m in made} == {"en"} and all(is_sound(m.example) for m in made)
    (one, *_) = translate_questions(examples, [lambda texts: ["Was fragt er?"] * len(texts)], "de")
    assert one.example.question_language == "de" and one.example.language == "en" and one.how == "translate"
    assert not list(translate_questions(examples, [lambda texts: [" "] * len(texts)], "de"))


@pytest.fixture(scope="module")
def marian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random MarianMT model with its own sentencepiece vocabulary."""
    import sentencepiece
    import torch
    from transformers import MarianConfig, MarianMTModel, MarianTokenizer

    folder = tmp_path_factory.mktemp("marian")
    text = folder / "text.txt"
    text.write_text("\n".join([*SPOKEN, *HEARD, *SCRIPTS.values()]), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(folder / "source"), vocab_size=300, hard_vocab_limit=False, minloglevel=2
    )
    (folder / "target.spm").write_bytes((folder / "source.model").read_bytes())
    (folder / "source.model").rename(folder / "source.spm")
    pieces = [line.split("\t")[0] for line in (folder / "source.vocab").read_text("utf-8").splitlines()]
    names = dict.fromkeys(["</s>", "<unk>", *pieces, "<pad>"])
    (folder / "vocab.json").write_text(json.dumps({piece: n for n, piece in enumerate(names)}))
    tokenizer = MarianTokenizer(
        str(folder / "source.spm"),
        str(folder / "target.spm"),
        str(folder / "vocab.json"),
        source_lang="en",
        target_lang="de",
    )
    config = MarianConfig(
        vocab_size=len(names),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        max_length=20,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=128,
        pad_token_id=len(names) - 1,
        eos_token_id=0,
        decoder_start_token_id=len(names) - 1,
        forced_eos_token_id=0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        MarianMTModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_marian_model_translates(marian: Path) -> None:
    translate = translator(str(marian))
    found = translate(["the bridge is old", "x"])
    assert (
        len(found) == 2 and all(isinstance(text, str) for text in found) and found == translate(["the bridge is old", "x"])
    )
    with pytest.raises(ModelMissing, match="translation model"):
        translator("nobody/nothing-en-de")


# -- near repeats ------------------------------------------------------------------------------------------------------


def test_near_repeats_are_found() -> None:
    met = NearDuplicateIndex()
    assert met.is_new("How high is the bridge?", SCRIPTS["en"])
    assert not met.is_new("How high is  the Bridge?", SCRIPTS["en"] + " ")
    assert met.is_new("Wie hoch ist die Brücke?", SCRIPTS["en"])
    assert met.is_new("How high is the bridge?", SCRIPTS["de"])
    assert met.is_new("How high is the bridge?", SCRIPTS["en"], "4.6 million") and not met.is_new(
        "How high is the bridges?", SCRIPTS["en"], "4.6 million"
    )
    assert met.is_new("", "") and not met.is_new("", "") and met.is_new("x", "橋")


@given(st.lists(st.tuples(st.sampled_from(["Who?", "How high is it?", "どこ?"]), st.sampled_from(list(SCRIPTS.values())))))
def test_what_is_kept_is_apart(asked: list[tuple[str, str]]) -> None:
    made = [GeneratedExample(Example(str(n), q, c, (), "en", "en", "", "a"), "x", ()) for n, (q, c) in enumerate(asked)]
    kept = list(drop_near_duplicates(made, ()))
    assert {(m.example.question, m.example.context) for m in kept} == set(asked) and len(kept) == len(set(asked))
    assert not list(drop_near_duplicates(made, [m.example for m in made]))


def test_shingles_are_compared_by_jaccard() -> None:
    assert jaccard(shingles("abcd"), shingles("abcd")) == 1.0 and jaccard(shingles("abcd"), shingles("efgh")) == 0.0
    assert jaccard(shingles("abcde"), shingles("abcdf")) == pytest.approx(1 / 3)


# -- the whole way -----------------------------------------------------------------------------------------------------


def write(folder: Path, examples: list[Example]) -> None:
    for language in {e.language for e in examples}:
        (folder / f"xquad.{language}.json").write_text(json.dumps(squad([e for e in examples if e.language == language])))


def test_the_command_pairs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    write(tmp_path / "in", versions(languages=("en", "de", "th")))
    out = tmp_path / "out.jsonl.xz"
    assert main(["augment", str(tmp_path / "in"), "--into", str(out), "--method", "pairs", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["written"] == 27 and told["languages"]["en-th"] == 3 and told["broken"] == 0
    found = read_examples(out)
    assert len(found) == 27 and all(is_sound(e) for e in found)
    assert Counter((e.question_language, e.language) for e in found)["th", "de"] == 3


def test_the_command_switches(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "en-de.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in zip(SPOKEN, HEARD, strict=True)) * 3)
    context = "The old tower stands. The bridge is high."
    one = Example("1", "Is the bridge old?", context, (Gold("tower", 8),), "en", "en", "", "a.en.json")
    write(tmp_path, [one, replace(one, id="2", question="Does a tower stand here?")])
    asked = ["augment", str(tmp_path / "xquad.en.json"), "--into", str(tmp_path / "out.jsonl"), "--method", "code-switch"]
    assert main([*asked, "--parallel", str(tmp_path)]) == 0
    assert "en-en" in capsys.readouterr().out
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert all(row["how"] == "switch" and row["made_from"][0].startswith("xquad.en.json:") for row in rows)
    assert main(asked) == 2 and "--parallel" in capsys.readouterr().err


def test_the_command_makes_gaps_and_translates(tmp_path: Path, marian: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "en.txt").write_text(f"{SCRIPTS['en']}\n" * 3)
    gaps = tmp_path / "gaps.jsonl"
    assert main(["augment", str(tmp_path / "en.txt"), "--into", str(gaps), "--method", "cloze", "--limit", "2"]) == 0
    assert len(read_examples(gaps)) == 2
    out = tmp_path / "out.jsonl"
    models = ["--model", str(marian), "--model", str(marian)]
    status = main(["augment", str(gaps), "--into", str(out), "--method", "translate", *models, "--json"])
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert status == (0 if told["written"] else 1) and told["broken"] == 0
    assert main(["augment", str(gaps), "--into", str(out), "--method", "translate"]) == 2


@pytest.mark.parametrize(
    "bad", [{"method": "x"}, {"method": "code-switch"}, {"method": "translate"}, {"method": "pairs", "limit": 0}]
)
def test_settings_that_cannot_be_used(bad: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(SettingError):
        augment(AugmentSettings((tmp_path,), tmp_path / "out.jsonl", **bad))
