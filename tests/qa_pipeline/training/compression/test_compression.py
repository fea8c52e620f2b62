"""What a small reader begins with: a large model cut, silence learned from near passages, the mean of two runs."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel

from indexing.errors import SettingError
from indexing.models.registry import ModelFolder, resolve
from indexing.text.search_terms import terms
from qa_pipeline.cli.main import main
from qa_pipeline.datasets.examples import Example, Gold
from qa_pipeline.reading.load import load_reader, window_sizes
from qa_pipeline.training.compression.pruning import count_tokens, prune, texts
from qa_pipeline.training.compression.weight_averaging import average
from qa_pipeline.training.reader.unanswerable import REACH, unanswerable
from qa_pipeline.training.run_data import limit_questions
from qa_pipeline.training.train_reader import train
from tests.known import SCRIPTS
from tests.qa_pipeline.training.test_train_reader import SILENT, rows, settings, tiny, weights, write
from tests.tiny import make_reader, make_xlm, wordpieces

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def large(tmp_path: Path) -> ModelFolder:
    return resolve(str(make_reader("xlm-roberta", tmp_path / "large", 5, num_hidden_layers=3)), "reader")


def states(path: Path, text: str) -> torch.Tensor:
    tokenizer, model = AutoTokenizer.from_pretrained(path), AutoModel.from_pretrained(path).eval()
    with torch.no_grad():
        hidden: torch.Tensor = model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states[2][0]
        return hidden


# -- cutting -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_is_kept_reads_as_before(script: str, large: ModelFolder, tmp_path: Path) -> None:
    text = SCRIPTS[script]
    whole = AutoTokenizer.from_pretrained(large.path)
    prune(large, {script: count_tokens(large, [text])}, len(whole), 2, tmp_path / "small")
    small = AutoTokenizer.from_pretrained(tmp_path / "small")
    assert small.tokenize(text) == whole.tokenize(text) and len(small) < len(whole)
    assert small(text, "x")["input_ids"][-1] == small.sep_token_id and small.pad_token_id == 1
    assert torch.equal(states(tmp_path / "small", text), states(large.path, text))
    assert AutoModel.from_pretrained(tmp_path / "small").config.num_hidden_layers == 2


def test_a_bert_with_scored_pieces_becomes_the_xlm_r_it_is(large: ModelFolder, tmp_path: Path) -> None:
    """As multilingual E5: the sizes and positions of a BERT, the tokens of an XLM-R."""
    tokenizer = AutoTokenizer.from_pretrained(large.path)
    torch.manual_seed(3)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=len(tokenizer), initializer_range=0.4, **sizes)).save_pretrained(tmp_path / "e5")
    tokenizer.save_pretrained(tmp_path / "e5")
    folder = resolve(str(tmp_path / "e5"), "embedder")
    prune(folder, {"en": count_tokens(folder, [SCRIPTS["en"]])}, 600, 2, tmp_path / "small")
    before, after = (states(tmp_path / name, SCRIPTS["en"]) for name in ("e5", "small"))
    assert torch.allclose(before, after, atol=1e-5)


def test_rare_tokens_go_and_their_words_are_still_read(large: ModelFolder, tmp_path: Path) -> None:
    whole = AutoTokenizer.from_pretrained(large.path)
    signs = 5 + sum(len(piece) == 1 for piece in whole.vocab)
    text = f"{SCRIPTS['en']} {SCRIPTS['de']}"
    prune(large, {"en": count_tokens(large, [text])}, signs + 3, 1, tmp_path / "small")
    small = AutoTokenizer.from_pretrained(tmp_path / "small")
    assert len(small) == signs + 3
    for script in SCRIPTS.values():
        assert small(script)["input_ids"].count(small.unk_token_id) == whole(script)["input_ids"].count(whole.unk_token_id)
    assert len(small.tokenize(text)) > len(whole.tokenize(text))
    with pytest.raises(SettingError, match="too few"):
        prune(large, {}, 6, 1, tmp_path / "none")


def test_what_cannot_be_cut_is_told(large: ModelFolder, tmp_path: Path) -> None:
    counts = {"en": count_tokens(large, [SCRIPTS["en"]])}
    with pytest.raises(SettingError, match="4 layers or more"):
        prune(large, counts, 600, 4, tmp_path / "small")
    bert = resolve(str(make_reader("bert", tmp_path / "bert", 5, tokenizer=wordpieces("bert"))), "reader")
    with pytest.raises(SettingError, match="no tokenizer.json of scored pieces"):
        prune(bert, counts, 600, 1, tmp_path / "small")
    assert not (tmp_path / "small").exists()


def test_the_texts_counted_are_those_of_questions_and_of_plain_text(tmp_path: Path) -> None:
    (tmp_path / "de.txt").write_text("Der Turm.\nDie Insel.\n")
    one = Example("1", "¿Qué?", "The tower.", (), "en", "es", "", "")
    found = {language: sorted(some) for language, some in texts([one, one], tmp_path).items()}
    assert found == {"de": ["", "Der Turm.", "Die Insel."], "es": ["¿Qué?"], "en": ["The tower."]}
    with pytest.raises(SettingError, match="holds no plain text"):
        texts([one], tmp_path / "nowhere")


def test_the_verb_makes_what_train_goes_on_from(
    large: ModelFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write(tmp_path / "made.en.jsonl", rows(12))
    arguments = ["prune", str(data), "--from", str(large.path), "--layers", "2", "--tokens", "600"]
    arguments += ["--into", str(tmp_path / "c")]
    assert main(arguments) == 0
    told = train(settings(data, tmp_path / "out", tmp_path / "c", recipe=tiny(tmp_path / "c", frozen=1)), SILENT)
    assert told["updates"] and load_reader(resolve(str(tmp_path / "out"), "reader"))
    assert main(arguments) == 2 and "holds a model already" in capsys.readouterr().err


# -- what is left as it is, and the mean ------------------------------------------------------------------------------


def test_frozen_layers_and_embeddings_stay(large: ModelFolder, tmp_path: Path) -> None:
    data = write(tmp_path / "made.en.jsonl", rows(20))
    train(settings(data, tmp_path / "out", large.path, recipe=tiny(large.path, frozen=2, embeddings_rate=0.0)), SILENT)
    before, after = (load_file(path / "model.safetensors") for path in (large.path, tmp_path / "out"))
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed and all("layer.2." in name or name.startswith("qa_outputs") for name in changed)
    with pytest.raises(SettingError, match="9 layers"):
        train(settings(data, tmp_path / "no", large.path, recipe=tiny(large.path, frozen=9)), SILENT)


def test_the_mean_of_two_runs_is_a_reader_between_them(large: ModelFolder, tmp_path: Path) -> None:
    data = write(tmp_path / "made.en.jsonl", rows(20))
    runs = [tmp_path / "one", tmp_path / "two"]
    for seed, run in enumerate(runs):
        train(settings(data, run, large.path, seed=seed), SILENT)
    assert weights(runs[0]) != weights(runs[1])
    average([str(run) for run in runs], tmp_path / "mean")
    one, two, both = (load_file(folder / "model.safetensors") for folder in (*runs, tmp_path / "mean"))
    assert all(np.allclose(both[name], (one[name] + two[name]) / 2, atol=1e-6) for name in one) and one.keys() == both.keys()
    text = "The bridge 3 cost 122 pounds."
    assert load_reader(resolve(str(tmp_path / "mean"), "reader")).read("What did bridge 3 cost?", [text])[0].spans
    assert window_sizes(resolve(str(tmp_path / "mean"), "reader")) == window_sizes(resolve(str(runs[0]), "reader"))
    with pytest.raises(SettingError, match="holds a model already"):
        average([str(run) for run in runs], tmp_path / "mean")


def test_the_mean_of_readers_has_all_files_of_its_tokenizer(tmp_path: Path) -> None:
    """XLM's has no tokenizer.json, and merges that are no JSON at all."""
    bases = [make_xlm(tmp_path / str(seed), seed, beam=False) for seed in (1, 2)]
    (bases[0] / "checkpoint.pt").write_bytes(b"x")
    average([str(base) for base in bases], tmp_path / "mean")
    assert load_reader(resolve(str(tmp_path / "mean"), "reader")).read("How high?", [SCRIPTS["en"]])
    assert not (tmp_path / "mean" / "checkpoint.pt").exists()


def test_the_same_tokens_written_otherwise_are_the_same(large: ModelFolder, tmp_path: Path) -> None:
    """As transformers writes them when a reader that was trained further is saved."""
    again = tmp_path / "again"
    shutil.copytree(large.path, again)
    (again / "tokenizer.json").write_text(json.dumps(json.loads((large.path / "tokenizer.json").read_bytes()), indent=4))
    average([str(large.path), str(again)], tmp_path / "mean")
    assert (tmp_path / "mean" / "config.json").is_file()


def test_what_has_no_mean_is_told(large: ModelFolder, tmp_path: Path) -> None:
    other = make_reader("xlm-roberta", tmp_path / "other", 5, num_hidden_layers=2)
    for names, why in (([str(large.path)], "two readers"), ([str(large.path), str(other)], "have no mean")):
        with pytest.raises(SettingError, match=why):
            average(names, tmp_path / "mean")
    other = tmp_path / "long"
    shutil.copytree(large.path, other)
    (other / "training.json").write_text('{"recipe": {"max_seq_len": 200, "doc_stride": 100}}')
    with pytest.raises(SettingError, match="windows of other sizes"):
        average([str(large.path), str(other)], tmp_path / "mean")
    assert not (tmp_path / "mean").exists()
    assert main(["average", str(large.path), "--into", str(tmp_path / "mean")]) == 2


def test_runs_of_other_seeds_begin_with_the_same_head(tmp_path: Path) -> None:
    base = make_reader("bert", tmp_path / "base", 5)
    config = json.loads((base / "config.json").read_bytes()) | {"architectures": ["BertModel"]}
    (base / "config.json").write_text(json.dumps(config))
    tensors = {name: tensor for name, tensor in load_file(base / "model.safetensors").items() if "qa_outputs" not in name}
    from safetensors.numpy import save_file

    save_file(tensors, base / "model.safetensors", {"format": "pt"})
    data = write(tmp_path / "made.en.jsonl", rows(20))
    heads = []
    for seed in (1, 2):
        recipe = tiny(base, learning_rate=1e-12, epochs=1)
        train(settings(data, tmp_path / str(seed), base, recipe=recipe, seed=seed), SILENT)
        heads.append(load_file(tmp_path / str(seed) / "model.safetensors")["qa_outputs.weight"])
    assert np.allclose(heads[0], heads[1], atol=1e-6) and np.abs(heads[0]).max() > 1e-3


# -- questions -------------------------------------------------------------------------------------------------------


def example(n: int, question: str, context: str, answer: str, **changes: Any) -> Example:
    golds = (Gold(answer, context.index(answer)),) if answer else ()
    return replace(Example(str(n), question, context, golds, "en", "en", "", "file"), **changes)


CONTEXTS = [
    "The bridge of Arden cost 12 pounds.",
    "The bridge of Solveig was built in 1912.",
    "Nobody lives on the island.",
    "The bridge of Arden is painted every year, which has a price of 12 pounds.",
]


def test_silence_is_learned_from_the_nearest_passage_without_the_answer() -> None:
    made = [example(n, "What did the bridge cost?", text, "") for n, text in enumerate(CONTEXTS[1:], start=1)]
    asked = example(0, "What did the bridge of Arden cost?", CONTEXTS[0], "12 pounds")
    found = unanswerable([asked, *made], 1.0, 1)
    assert [(one.question, one.context, one.golds) for one in found] == [(asked.question, CONTEXTS[1], ())]
    assert found[0].id != asked.id and found[0].is_impossible
    assert unanswerable([asked], 1.0, 1) == [] and unanswerable([asked, *made], 0.0, 1) == []
    elsewhere = [replace(one, origin="other") for one in made]
    assert unanswerable([asked, *elsewhere], 1.0, 1) == []


def test_no_silent_passage_says_the_answer_and_the_draw_is_the_seed_s() -> None:
    draw = Random(4)
    words = "bridge tower island harbour price year keeper lamp stone river".split()
    made = []
    for n in range(120):
        context = " ".join(draw.choice(words) for _ in range(6))
        made.append(example(n, f"what {draw.choice(words)}?", context, context.split()[draw.randrange(6)]))
    found = unanswerable(made, 0.5, 9)
    assert 30 < len(found) < 90 and found == unanswerable(made, 0.5, 9) != unanswerable(made, 0.5, 10)
    by_id = {one.id: one for one in made}
    order = list(dict.fromkeys(one.context for one in made))
    for one in found:
        own = by_id[one.id.removesuffix(":silent")]
        assert own.golds[0].text not in one.context and one.context != own.context
        assert abs(order.index(one.context) - order.index(own.context)) <= REACH
        near = order[max(0, order.index(own.context) - REACH) : order.index(own.context) + REACH + 1]
        may = [text for text in near if text != own.context and own.golds[0].text not in text]
        asked = set(terms(own.question, "en"))
        if any(asked & set(terms(text, "en")) for text in may):
            assert asked & set(terms(one.context, "en"))


def test_so_much_of_what_is_drawn_is_english() -> None:
    many = [example(n, "q", "c", "", language="en" if n < 60 else ("de" if n < 90 else "th")) for n in range(100)]
    counts = [sum(one.language == name for one in limit_questions(many, 40, Random(1), 0.5)) for name in ("en", "de", "th")]
    assert counts == [20, 10, 10]
    assert sum(one.language == "en" for one in limit_questions(many, 40, Random(1))) == 15
    assert limit_questions(many, None, Random(1), 0.5) == many
