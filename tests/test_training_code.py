"""What the embedder of source code is trained on: code without the docstring that asks for it, and one loss."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragkit.testing import WordTokenizer
from training.code.pairs import Pair, code_pairs, documentation_questions

MODULE = '''"""A cart."""


class Cart:
    """Holds what a customer chose before it is paid."""

    def total(self, rate):
        """Return what all items of the cart cost with tax."""
        cost = sum(item.price for item in self.items)
        tax = cost * rate
        return cost + tax

    def short(self):
        """Too short."""
        return 1


def total_again(cart):
    """Return what all items of the cart cost with tax."""
    first = cart.total(0)
    second = cart.total(1)
    return first, second
'''


def test_a_question_is_what_a_docstring_says_and_its_passage_does_not_say_it(tmp_path: Path) -> None:
    package = tmp_path / "shop"
    (package / "tests").mkdir(parents=True)
    (package / "cart.py").write_text(MODULE)
    (package / "tests" / "test_cart.py").write_text(MODULE)
    found = code_pairs(package, WordTokenizer(), seed=1)
    assert [(pair.kind, pair.name, pair.query) for pair in found] == [
        ("class", "cart", "Holds what a customer chose before it is paid"),
        ("function", "total again", "Return what all items of the cart cost with tax"),
    ]  # the methods share a chunk with their class, which has a question
    assert "first = cart.total(0)" in found[1].text
    assert not any(pair.query in pair.text for pair in found)
    assert {(pair.group, pair.place) for pair in found} == {("shop", "shop/cart.py")}


def test_questions_of_documentation_are_the_same_for_the_same_seed(tmp_path: Path) -> None:
    part = "<h2>Setting {0}</h2><p>The option colour{0} sets the colour of the border.</p>"
    text = "".join(part.format(at) for at in range(99))
    (tmp_path / "manual.html").write_text(f"<h1>Manual</h1>{text}")
    found = documentation_questions(tmp_path, WordTokenizer(), seed=1, files=4)
    assert found and found == documentation_questions(tmp_path, WordTokenizer(), seed=1, files=4)


def test_a_batch_holds_neighbours_of_one_package() -> None:
    pytest.importorskip("torch")
    from itertools import islice

    from training.code.trainer import batches

    pairs = [Pair(f"q{at}", f"t{at}", "function", f"g{at % 2}", f"f{at // 16}", "n") for at in range(128)]
    drawn = list(islice(batches(pairs, size=16, run=8, seed=3), 8))
    assert drawn == list(islice(batches(pairs, size=16, run=8, seed=3), 8))
    assert sorted(pair.query for batch in drawn for pair in batch) == sorted(pair.query for pair in pairs)
    for batch in drawn:
        assert len({pair.group for pair in batch}) == 1
        assert len({pair.place for pair in batch}) <= 5


def test_only_the_reader_of_code_learns_and_a_run_that_was_stopped_goes_on(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from ragkit import sbert
    from tests.toy_models import save_bi_encoder
    from training.code.trainer import Recipe, Trainer
    from training.steps import CHECKPOINT

    base = save_bi_encoder(tmp_path / "base")
    said = ["restart the server", "release the memory", "stop the service", "restore a backup"]
    pairs = [Pair(text, f"def {at}", "function", "g", "f", f"name {at}") for at, text in enumerate(said)]
    recipe = Recipe(minutes=0.02, batch=4, learning_rate=1e-3, frozen_layers=0)
    first = Trainer(base, tmp_path, recipe)
    asked, read = first._asked(pairs).detach(), first._passages(pairs).detach()
    first.train(pairs, pairs, ["which port is the default"])
    assert first.step > 0 and (tmp_path / CHECKPOINT).is_file()
    assert torch.equal(first._asked(pairs), asked)
    assert not torch.allclose(first._passages(pairs), read, atol=1e-2)
    second = Trainer(base, tmp_path, recipe)
    assert second.step == first.step
    assert torch.allclose(second._passages(pairs), first._passages(pairs), atol=1e-5)
    (kept,) = tmp_path.glob("at-*")
    vectors = sbert.encode(sbert.load_bi_encoder(kept), [pair.text for pair in pairs])
    assert vectors.shape == (4, 32)
