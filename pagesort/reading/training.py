"""Training a reader: from lines with their text to a reader's folder."""

from __future__ import annotations

import hashlib
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pagesort.common.errors import PageSortError, Stopped
from pagesort.common.text import named
from pagesort.reading.alphabet import Alphabet
from pagesort.reading.architectures import Architecture, architecture_of
from pagesort.reading.language import CharacterModel
from pagesort.reading.learner import Learner
from pagesort.reading.network import HEIGHT
from pagesort.reading.pictures import Pictures
from pagesort.reading.reader_folder import (
    LANGUAGE_FILE,
    ReaderFacts,
    read_facts,
    write_reader,
)
from pagesort.reading.recipe import ReaderOutcome, ReaderRecipe, ReaderRequest
from pagesort.reading.validation import SHOWN, ReaderReporter, ValidationLines
from pagesort.reading.views import Collator, LineViews
from pagesort.training.loop import Figures, Schedule, fit
from pagesort.training.optimiser import adamw
from pagesort.training.plan import (
    chosen_precision,
    default_workers,
    processors,
    translate_training_errors,
)
from pagesort.training.state import Best, RunFolder, quality, translate_damaged
from pagesort.training.tensorboard import TensorBoard
from pagesort.training.weight_averaging import moving_average

logger = logging.getLogger(__name__)

LINES_FOLDER = "lines"
MEMORY_REMEDY = "Lower --batch_size and raise [TRAIN_READER] accumulation as much"


def train_reader(request: ReaderRequest, device: torch.device) -> ReaderOutcome:
    """Train a reader on the lines of a split and write its folder.

    A training that was interrupted goes on at its last checkpoint when the same is asked for again,
    and ends at the weights that it would have had without the interruption.

    Raises:
        PageSortError: lines or settings do not allow it, the training diverges, memory or disk do
            not suffice.
        Stopped: the training was stopped; it tells what is kept.
    """
    if not request.split.train:
        raise PageSortError("no line trains", remedy="Give lines of more documents")
    session = _Session(request, device)
    try:
        with translate_training_errors(request.recipe.batch_size, MEMORY_REMEDY, "lines"):
            return session.outcome()
    except KeyboardInterrupt:
        raise Stopped(_what_is_kept(session.run)) from None
    finally:
        session.run.close()


class _Session:
    """One call of `train_reader`: lines, alphabet and network are there, nothing is trained yet."""

    def __init__(self, request: ReaderRequest, device: torch.device) -> None:
        self.request = request
        self.device = device
        self.precision = chosen_precision(
            request.recipe.mixed_precision, device, "[TRAIN_READER] mixed_precision"
        )
        self.collate = Collator(is_form=request.recipe.form == "form")
        self.start = _start(request)
        self.language = _language(request)
        self.pictures = self._pictures(request.split.train)
        self.alphabet = _alphabet(self.pictures, self.start)
        self.recipe = _fitting(request.recipe, len(self.pictures))
        self.validation: ValidationLines | None = None
        if request.split.validation:
            pictures = self._pictures(request.split.validation)
            self.validation = ValidationLines(pictures, self.alphabet, device, self.collate)
        self.run = RunFolder(request.checkpoints, "reader", self._deciding(), _figures_of)
        self.board = TensorBoard(self.run.folder / "runs", self._settings())

    @property
    def lines_per_step(self) -> int:
        """Lines of one step."""
        return self.recipe.batch_size * self.recipe.accumulation

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which every line is seen once; the last one's rest is seen twice."""
        return math.ceil(len(self.pictures) / self.lines_per_step)

    def outcome(self) -> ReaderOutcome:
        """Train what is left to train, and write the best epoch's reader."""
        made = self.run.made_model
        self.run.open()
        if made is not None:
            logger.info("this training was done before (%s); it begins anew", made)
            self.run.clear()
        self._fit()
        best = self.run.kept_best()
        folder = self._write(best)
        self.run.finish(folder.name)
        left_out = self.pictures.left_out
        if self.validation is not None:
            left_out += self.validation.pictures.left_out
        epoch = best.step // self.steps_per_epoch
        cer = best.figures.get("cer")
        logger.info("the best epoch is %d; the new reader: %s", epoch, folder)
        return ReaderOutcome(folder, cer, epoch, left_out, self.run.folder)

    def _pictures(self, lines: Sequence[Any]) -> Pictures:
        folder = self.request.checkpoints / LINES_FOLDER
        return Pictures.prepared(lines, folder, is_form=self.collate.is_form)

    def _deciding(self) -> dict[str, Any]:
        """All that decides the weights: of equal facts, a training goes on where one stopped."""
        sha = hashlib.sha256()
        for pictures in (self.pictures, self.validation and self.validation.pictures):
            for line, digest in zip(
                pictures.lines if pictures else (),
                pictures.digests if pictures else (),
                strict=True,
            ):
                sha.update(f"{digest}\0{line.text}\0{line.document}\0".encode())
            sha.update(b"\n")
        return {
            "start": str(self.request.start and _digest_of_start(self.request.start)),
            "recipe": asdict(self.recipe),
            "seed": self.request.seed,
            "device": self.device.type,
            "precision": self.precision,
            "split": self.request.split.fingerprint,
            "alphabet": "".join(self.alphabet.characters),
            "lines": sha.hexdigest(),
        }

    def _settings(self) -> dict[str, Any]:
        return asdict(self.recipe) | {
            "seed": self.request.seed,
            "precision": self.precision,
            "training_lines": len(self.pictures),
        }

    def _fit(self) -> list[dict[str, float]]:
        """Train from the last checkpoint to the last step; returns the reports."""
        recipe, request = self.recipe, self.request
        last = self.run.last_checkpoint()
        steps = recipe.epochs * self.steps_per_epoch
        if last is not None and last[0] < steps:
            logger.info(
                "going on with the interrupted training at step %d of %d (remove %s to begin anew)",
                last[0],
                steps,
                self.run.folder,
            )
        learner = self._learner().to(self.device)
        average = moving_average(learner, recipe.ema) if recipe.ema else None
        workers = request.workers
        if workers is None:
            workers = default_workers(self.device, processors())
        return fit(
            learner,
            self._views(),
            self.collate,
            adamw(learner.network, recipe.learning_rate, recipe.weight_decay),
            Schedule(
                steps=steps,
                batch_size=recipe.batch_size,
                seed=request.seed,
                accumulation=recipe.accumulation,
                warmup_steps=round(recipe.warmup_ratio * steps),
                gradient_clip=recipe.gradient_clip,
                precision=self.precision,
                steps_per_epoch=self.steps_per_epoch,
                log_every=request.log_step,
                save_seconds=request.save_seconds,
                workers=workers,
            ),
            average=average,
            validate=lambda step: self._validate(step, average.module if average else learner),
            run=self.run,
            watchers=[ReaderReporter(self.steps_per_epoch, self.lines_per_step), self.board],
            is_enough=self._is_enough,
        )

    @property
    def _architecture(self) -> Architecture:
        return architecture_of(self.recipe.architecture)

    def _learner(self) -> Learner[Any]:
        """The learner to begin with: random, or the start with classes for new characters.

        Random weights come from the seed.
        """
        torch.manual_seed(self.request.seed)
        network = self._architecture.build(self._facts({}))
        if self.request.start is not None and self.start is not None:
            old = self._architecture.load(self.request.start, self.start)
            network.load_state_dict(self._architecture.grown(old, network))
        if self.recipe.frozen:
            network.freeze(self.recipe.frozen)
        # The layout in which a CPU computes these convolutions fastest: an eighth less time a line.
        return self._architecture.learner(network.to(memory_format=torch.channels_last))

    def _views(self) -> LineViews:
        return LineViews(
            self.pictures,
            self.alphabet,
            self.request.seed,
            batch_size=self.recipe.batch_size,
            views_per_epoch=self.steps_per_epoch * self.lines_per_step,
            epochs=self.recipe.epochs,
            synthetic=self.recipe.synthetic,
            augment=self.recipe.augment,
            is_form=self.collate.is_form,
        )

    def _validate(self, step: int, learner: Any) -> dict[str, float]:
        """Measure the weights at the end of an epoch, and keep them if they are the best so far."""
        figures: dict[str, float] = {}
        if self.validation is not None:
            figures, readings = self.validation.measured(learner)
            self.board.write_text("readings", _as_table(readings), step)
        best = self.run.best()
        if best is None or not figures or quality(figures) > best.quality:
            facts = self._facts({"figures": figures})
            weights = learner.network.state_dict()
            self.run.save_best(step, lambda folder: write_reader(folder, facts, weights))
        return figures

    def _is_enough(self, history: Sequence[Figures]) -> bool:
        """Whether so many epochs in a row have brought nothing better."""
        qualities = [each["eval_accuracy"] for each in history if "eval_accuracy" in each]
        if not self.recipe.patience or not qualities:
            return False
        return len(qualities) - 1 - int(np.argmax(qualities)) >= self.recipe.patience

    def _facts(self, training: Mapping[str, Any]) -> ReaderFacts:
        recipe = self.recipe
        own = {name: getattr(recipe, name) for name in self._architecture.settings}
        formats = ("form",) if self.collate.is_form else ("word", "line")
        return ReaderFacts(recipe.architecture, own, self.alphabet, HEIGHT, formats, training)

    def _write(self, best: Best) -> Path:
        """Write the new reader, with all that is known of its training."""
        request = self.request
        own = [self.pictures, *([self.validation.pictures] if self.validation else [])]
        hands = {line.document for pictures in own for line in pictures.lines}
        seen = {digest for pictures in own for digest in pictures.digests}
        if self.start is not None:
            hands |= set(self.start.hands)
            seen |= self.start.seen
        training = {
            "date": time.strftime("%Y-%m-%d"),
            "data": request.source,
            "lines": {name: len(getattr(request.split, name)) for name in ("train", "validation")},
            "split_by": request.split.by,
            "recipe": asdict(self.recipe),
            "seed": request.seed,
            "epoch": best.step // self.steps_per_epoch,
            "figures": dict(best.figures),
            "start": request.start.name if request.start else None,
        }
        with translate_damaged(self.run.folder):
            kept = read_facts(best.folder)
            weights = self._architecture.load(best.folder, kept).state_dict()
        facts = ReaderFacts(
            kept.architecture,
            kept.network,
            kept.alphabet,
            kept.height,
            kept.formats,
            training,
            tuple(sorted(hands)),
            frozenset(seen),
        )
        folder = _free_name(request.models / f"reader_{time.strftime('%Y%m%d-%H%M')}")
        write_reader(folder, facts, weights, {LANGUAGE_FILE: self._joined_language().as_bytes()})
        return folder

    def _joined_language(self) -> CharacterModel:
        """The model of the lines that train, added to what the start knows of other lines."""
        texts = (line.text for line in self.pictures.lines)
        if self.language is None:
            return CharacterModel.of_texts(texts)
        return self.language.joined(texts)


def _alphabet(pictures: Pictures, start: ReaderFacts | None) -> Alphabet:
    """The characters of the lines, behind those of the start."""
    own = Alphabet.of_texts(line.text for line in pictures.lines)
    if start is None:
        return own
    new = [each for each in own.characters if each not in start.alphabet.characters]
    if new:
        logger.info("characters that the starting reader lacks: %s", named(new))
    return start.alphabet.joined(own)


def _fitting(recipe: ReaderRecipe, lines: int) -> ReaderRecipe:
    """Lower batch size and accumulation where one step would show lines twice."""
    batch = min(recipe.batch_size, lines)
    return replace(
        recipe, batch_size=batch, accumulation=min(recipe.accumulation, max(1, lines // batch))
    )


def _start(request: ReaderRequest) -> ReaderFacts | None:
    """The facts of the reader that training starts from.

    Raises:
        PageSortError: it is none of ours, or of another architecture.
    """
    if request.start is None:
        return None
    facts, recipe = read_facts(request.start), request.recipe
    if facts.architecture != recipe.architecture:
        raise PageSortError(
            f"the reader to start from is a {facts.architecture}, not a {recipe.architecture}",
            where=request.start,
            remedy="Name another one with --reader_path, or add --from_scratch",
        )
    own = {name: getattr(recipe, name) for name in architecture_of(recipe.architecture).settings}
    if dict(facts.network) != own:
        raise PageSortError(
            f"the reader to start from has other settings ({dict(facts.network)})",
            where=request.start,
            remedy="Set the same under [TRAIN_READER], or add --from_scratch",
        )
    return facts


def _language(request: ReaderRequest) -> CharacterModel | None:
    """The language model of the reader that training starts from, if it has one."""
    if request.start is None or not (request.start / LANGUAGE_FILE).exists():
        return None
    return CharacterModel.read(request.start / LANGUAGE_FILE)


def _digest_of_start(folder: Path) -> str:
    from pagesort.common.files import file_digest
    from pagesort.reading.reader_folder import WEIGHTS_FILE

    return file_digest(folder / WEIGHTS_FILE)


def _figures_of(folder: Path) -> Mapping[str, float] | None:
    figures = read_facts(folder).training.get("figures")
    return figures if isinstance(figures, dict) else None


def _as_table(readings: Sequence[tuple[str, str]]) -> str:
    """Truths and readings as TensorBoard shows a table."""
    cells = [[text.replace("|", "\\|").replace("\n", " ") for text in pair] for pair in readings]
    rows = [f"| {truth} | {reading} |" for truth, reading in cells[:SHOWN]]
    return "\n".join(["| truth | reading |", "|---|---|", *rows])


def _free_name(folder: Path) -> Path:
    """The folder's name, or one with a number that is not taken."""
    number, free = 1, folder
    while free.exists():
        number += 1
        free = folder.with_name(f"{folder.name}_{number}")
    return free


def _what_is_kept(run: RunFolder) -> str:
    last = run.last_checkpoint()
    if last is None:
        return "the lines that are prepared are kept"
    return f"the training up to step {last[0]} is kept"
