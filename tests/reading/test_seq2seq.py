"""A reader that writes one character after the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pagesort.common.errors import PageSortError
from pagesort.reading.alphabet import Alphabet
from pagesort.reading.architectures import architecture_of
from pagesort.reading.learner import Seq2SeqLearner
from pagesort.reading.reader import Reader
from pagesort.reading.reader_folder import ReaderFacts, write_reader
from pagesort.reading.recipe import ReaderRecipe
from pagesort.reading.seq2seq import END, Seq2SeqNetwork, build_seq2seq

SMALL = {"resnet": 18, "width": 16, "layers": 1, "heads": 2}
ALPHABET = Alphabet("\nab")


def facts(form: str = "line", alphabet: Alphabet = ALPHABET) -> ReaderFacts:
    return ReaderFacts("seq2seq", SMALL, alphabet, 48, (form,))


@pytest.fixture(scope="module")
def learner() -> Seq2SeqLearner:
    torch.manual_seed(1)
    return Seq2SeqLearner(build_seq2seq(facts())).eval()


def test_the_loss_of_a_text_is_that_of_its_characters_and_its_end(learner: Seq2SeqLearner) -> None:
    torch.manual_seed(2)
    images = torch.randn(2, 1, 48, 48)
    targets = torch.tensor([[2, 3, 2], [3, 0, 0]])  # the second one is filled up
    losses = learner.losses(images, targets, torch.tensor([3, 1]))
    with torch.no_grad():
        for image, line, loss in zip(images, ([2, 3, 2], [3]), losses, strict=True):
            tokens = torch.tensor([[learner.network.start, *line]])
            chances = learner.network(image[None], tokens).log_softmax(-1)[0]
            wanted = torch.tensor([*line, END])
            expected = -chances[torch.arange(len(wanted)), wanted].mean()
            assert loss.item() == pytest.approx(expected.item(), rel=1e-4)


def test_no_character_is_written_by_looking_at_later_ones(learner: Seq2SeqLearner) -> None:
    images = torch.randn(1, 1, 48, 48)
    one, other = (torch.tensor([[learner.network.start, 2, last]]) for last in (1, 3))
    with torch.no_grad():
        same = learner.network(images, one)[:, :2], learner.network(images, other)[:, :2]
    assert torch.allclose(*same, atol=1e-5)


@pytest.mark.slow
def test_a_text_is_learnt_by_heart() -> None:
    torch.manual_seed(3)
    network = Seq2SeqNetwork(4, **SMALL, dropout=0.0)
    training = Seq2SeqLearner(network).train()
    images = torch.randn(2, 1, 16, 16)
    targets, lengths = torch.tensor([[2, 3, 3], [3, 2, 0]]), torch.tensor([3, 2])
    optimiser = torch.optim.AdamW(network.parameters(), lr=5e-3)
    for _ in range(60):
        optimiser.zero_grad()
        training(images, targets, lengths)["loss"].backward()
        optimiser.step()
    with torch.inference_mode():
        _, texts = training.read(images, targets, lengths, ALPHABET)
    assert texts == ["abb", "ba"]


def test_lines_and_forms_are_read_alone_as_among_others(
    learner: Seq2SeqLearner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LONGEST_LINE", "LONGEST_FORM"):
        monkeypatch.setattr(f"pagesort.reading.seq2seq.{name}", 12)
    stream = np.random.default_rng(0)
    pictures = [stream.integers(0, 256, (40, wide), dtype=np.uint8) for wide in (90, 200, 60)]
    for form in ("line", "form"):
        write_reader(tmp_path / form, facts(form), learner.network.state_dict())
        reader = Reader.open(tmp_path / form)
        together = reader.read(pictures)
        assert [each.text for each in together] == [reader.read([one])[0].text for one in pictures]
        assert all(0.0 < each.confidence <= 1.0 for each in together)
        assert reader.formats == (form,)


def test_a_network_with_more_classes_keeps_its_characters_and_its_start(
    learner: Seq2SeqLearner,
) -> None:
    kind = architecture_of("seq2seq")
    larger = build_seq2seq(facts(alphabet=Alphabet("\nabcd")))
    larger.load_state_dict(kind.grown(learner.network, larger))
    old, new = (net.state_dict() for net in (learner.network, larger))
    assert torch.equal(new["embedding.weight"][:4], old["embedding.weight"][:4])
    assert torch.equal(new["embedding.weight"][-1], old["embedding.weight"][-1])
    assert not torch.equal(new["embedding.weight"][4], old["embedding.weight"][4])
    assert torch.equal(new["head.weight"][:4], old["head.weight"])


def test_other_settings_and_forms_by_ctc_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PageSortError, match="seq2seq"):
        ReaderRecipe(form="form")
    for wrong in ({"resnet": 50}, {"width": 30}, {"layers": 0}):
        with pytest.raises(PageSortError):
            ReaderRecipe(architecture="seq2seq", **wrong)
        write_reader(tmp_path, ReaderFacts("seq2seq", SMALL | wrong, ALPHABET, 48), {})
        with pytest.raises(PageSortError):
            Reader.open(tmp_path)
