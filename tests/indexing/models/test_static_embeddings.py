"""Static models without torch give sentence-transformers' own vectors, for any text; and nothing heavy is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexing.errors import ModelRefused
from indexing.models.embedder import Embedder, unit
from indexing.models.registry import ModelFolder, resolve
from indexing.models.static_embeddings import BLOCK, StaticModel, static_model
from indexing.normal_form import normal_form
from tests.known import SCRIPTS
from tests.tiny import UGLY, make_reader

words = st.text(max_size=30) | st.sampled_from([*SCRIPTS.values(), "", " "])


def matched(model: Any, question: str, text: str) -> float:
    """The formula of `StaticModel.max_sim`, token by token, over sentence-transformers' own model."""
    rows = model[0].embedding.weight.detach().numpy().astype(np.float64)

    def of(part: str) -> Any:
        return rows[model.tokenizer.encode(part, add_special_tokens=False).ids]

    def cosine(a: Any, b: Any) -> float:
        lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
        return float(a @ b) / lengths if lengths else 0.0

    asked, held = of(question), of(text)
    weights = [float(np.linalg.norm(row)) ** 1.5 for row in asked]
    if not len(held) or not sum(weights):
        return 0.0
    found = sum(w * max(cosine(row, other) for other in held) for w, row in zip(weights, asked, strict=True))
    return float(found / sum(weights))


ROOT = Path(__file__).resolve().parents[3]
TEXTS = [*SCRIPTS.values(), *UGLY, "", " ", "\n", "one two", "x" * 5_000, "the bridge " * 20_000, "橋" * 3_000]


def loaded(folder: ModelFolder) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder.path), device="cpu", local_files_only=True)


@pytest.fixture(scope="module")
def builtin() -> tuple[Embedder, Any]:
    return Embedder.load("builtin"), loaded(resolve("builtin", "embedder"))


def matches(embedder: Embedder, question: str, texts: list[str]) -> Any:
    assert embedder.tokens is not None
    return embedder.tokens.max_sim(question, embedder.tokens.distinct(texts))


@given(words, st.lists(words, max_size=5))
def test_matches_are_their_formula(builtin: tuple[Embedder, Any], question: str, texts: list[str]) -> None:
    embedder, model = builtin
    found = matches(embedder, question, texts)
    assert found.dtype == np.float32 and found.shape == (len(texts),)
    assert found == pytest.approx([matched(model, question, text) for text in texts], abs=1e-5)


def test_a_text_matches_by_translation_whatever_else_is_in_it(builtin: tuple[Embedder, Any]) -> None:
    embedder, _ = builtin
    other = " ".join(SCRIPTS[language] for language in ("ru", "th", "ko"))
    german = "Die Universität hat zwei Bibliotheken. "
    asked = "How many libraries does the university have?"
    near, far, alone, nothing = matches(embedder, asked, [german + other, other, german, ""])
    assert near > far + 0.1 and near >= alone > far and nothing == 0
    assert matches(embedder, asked, [asked])[0] == pytest.approx(1)
    assert list(matches(embedder, asked, [])) == [] and list(matches(embedder, "", [asked, ""])) == [0, 0]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A static model with another tokenizer, which lower-cases, cuts words apart and truncates; others beside it."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers import models as parts
    from tokenizers import Tokenizer

    home = tmp_path_factory.mktemp("static")
    tokenizer = Tokenizer.from_file(str(make_reader("bert", home / "reader", 4) / "tokenizer.json"))
    tokenizer.enable_truncation(100)
    plain = parts.StaticEmbedding(tokenizer, embedding_dim=12)
    SentenceTransformer(modules=[plain], device="cpu").save(str(home / "plain"))
    SentenceTransformer(modules=[plain, parts.Normalize()], device="cpu").save(str(home / "unit"))
    SentenceTransformer(modules=[plain, parts.Dense(12, 4)], device="cpu").save(str(home / "dense"))
    SentenceTransformer(modules=[plain], device="cpu").half().save(str(home / "half"))
    return home


def test_the_built_in_model_gives_what_sentence_transformers_gives(builtin: tuple[Embedder, Any]) -> None:
    embedder, whole = builtin
    wanted = unit(whole.encode([normal_form(text) for text in TEXTS]))
    assert np.allclose(embedder.passages(TEXTS), wanted, rtol=0, atol=1e-6)
    assert np.array_equal(embedder.passages(TEXTS), embedder.questions(TEXTS))
    assert not embedder.passages([""]).any() and np.allclose(np.linalg.norm(embedder.passages(["a"])), 1)


@given(st.lists(st.text(max_size=60), max_size=5))
def test_also_for_any_unicode(builtin: tuple[Embedder, Any], texts: list[str]) -> None:
    embedder, whole = builtin
    wanted = (
        unit(whole.encode([normal_form(text) for text in texts])) if texts else np.zeros((0, embedder.dimension), np.float32)
    )
    assert np.allclose(embedder.passages(texts), wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["plain", "unit"])
def test_any_static_model_with_its_own_tokenizer(made: Path, name: str) -> None:
    folder = resolve(str(made / name), "embedder")
    assert isinstance(static_model(folder), StaticModel)
    wanted = unit(loaded(folder).encode([normal_form(text) for text in TEXTS]))
    assert np.allclose(Embedder(folder).passages(TEXTS), wanted, rtol=0, atol=1e-6)


def test_questions_and_passages_have_their_prefixes(made: Path) -> None:
    folder = resolve(str(made / "plain"), "embedder")
    prefixed = Embedder(ModelFolder("e5", folder.path, "f", None, "static", ("query: ", "passage: ")))
    whole = loaded(folder)
    for found, prefix in ((prefixed.questions(TEXTS), "query: "), (prefixed.passages(TEXTS), "passage: ")):
        assert np.allclose(found, unit(whole.encode([prefix + text for text in TEXTS])), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["dense", "half"])
def test_other_models_are_left_to_sentence_transformers(made: Path, name: str) -> None:
    folder = resolve(str(made / name), "embedder")
    assert static_model(folder) is None
    assert np.isfinite(Embedder(folder, precision="fp32").passages(["a bridge"])).all()


def test_a_broken_tokenizer_is_refused(made: Path, tmp_path: Path) -> None:
    import shutil

    folder = resolve(str(shutil.copytree(made / "plain", tmp_path / "m")), "embedder")
    for file in folder.path.rglob("tokenizer.json"):
        file.write_text('{"version": "1.0"}', "utf-8")
    with pytest.raises(ModelRefused, match="tokenizer.json"):
        Embedder(folder)


@given(st.lists(st.integers(0, 3 * BLOCK), max_size=4))
def test_sums_do_not_depend_on_blocks_or_neighbours(lengths: list[int]) -> None:
    rng = np.random.default_rng(sum(lengths))
    rows = rng.standard_normal((50, 3)).astype(np.float32)
    ids = [rng.integers(0, 50, length).astype(np.int32) for length in lengths]
    found = StaticModel(rows, lambda texts: [mine.tobytes() for mine in ids]).encode([""] * len(ids))
    for vector, mine in zip(found, ids, strict=True):
        total = np.zeros(3, np.float32)
        for token in mine:
            total += rows[token]
        assert np.array_equal(vector, total / np.float32(len(mine)) if len(mine) else total)


def test_a_token_without_a_vector_is_an_error() -> None:
    model = StaticModel(np.ones((2, 3), np.float32), lambda texts: [np.array([2], np.int32).tobytes() for _ in texts])
    with pytest.raises(IndexError):
        model.encode(["a"])


def test_indexing_with_the_built_in_model_imports_no_torch(corpus: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from qa_pipeline.cli.main import main\n"
        f"assert main(['index', {str(corpus)!r}, '--into', {str(tmp_path / 'i')!r}, '--embedder', 'builtin']) == 0\n"
        "heavy = {'torch', 'haystack', 'transformers', 'sentence_transformers', 'scipy', 'pandas'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
