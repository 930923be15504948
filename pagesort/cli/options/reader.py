"""Options of readers of lines: which one reads, teaching one, measuring one."""

from __future__ import annotations

from pathlib import Path

from pagesort.cli.options.option import READER, READER_ACTIONS, Option
from pagesort.cli.value_types import PATH, SWITCH, choice, real, share, whole

TEACHING = ("train_reader",)

# One row, two lines or three: a table to look things up in.
# fmt: off
OPTIONS: tuple[Option, ...] = (
    Option(
        "train_reader", SWITCH, False, "train a reader of handwriting on the lines of --data; it "
        "starts from the reader of --reader_path", flags=("--train_reader",), audience=READER,
    ),
    Option(
        "eval_reader", SWITCH, False, "read the lines of --data and say how many characters and "
        "words are wrong; lines that the reader was trained on are left out",
        flags=("--eval_reader",), audience=READER,
    ),
    Option(
        "data", PATH, None, "lines with their text: a table with the columns path and text, a "
        "folder of pages with PAGE or ALTO files beside them, or the folder of IAM",
        flags=("--data",), audience=READER, used_by=READER_ACTIONS,
    ),
    Option(
        "reader_path", PATH, Path("models/pagesort-reader"), "the reader of lines: a folder of "
        "ours, a TrOCR folder, or a model file of kraken",
        "READ", "reader", ("--reader_path",), READER, shipped=True,
    ),
    Option(
        "language_model", SWITCH, True, "let the reader consider which letters follow each other "
        "in the texts that it was trained on, if its folder tells", "READ", "language_model",
        ("--language_model",), READER,
    ),
    Option(
        "from_scratch", SWITCH, False, "train a reader that starts from nothing; it needs "
        "thousands of lines", "TRAIN_READER", "from_scratch", ("--from_scratch",), READER,
        used_by=TEACHING,
    ),
    Option(
        "synthetic", share(), 0.0, "share of the lines that are put together from words of the "
        "lines that train", "TRAIN_READER", "synthetic", ("--synthetic",), READER,
        used_by=TEACHING,
    ),
    Option(
        "synthetic_samples", whole(1, 10_000), None, "write so many lines and paragraphs that are "
        "put together as pictures with their text, to look at", flags=("--synthetic_samples",),
        audience=READER,
    ),
    Option(
        "architecture", choice("ctc", "seq2seq"), "ctc", "ctc reads lines and words; seq2seq "
        "writes one character after the other, and reads forms and paragraphs, too",
        "TRAIN_READER", "architecture", ("--architecture",), READER, used_by=TEACHING,
    ),
    Option(
        "resnet", choice("18", "34"), "18", "layers of the part of seq2seq that looks",
        "TRAIN_READER", "resnet", audience=READER,
    ),
    Option(
        "decoder_width", whole(4, 1024), 256, "channels of the part of seq2seq that writes",
        "TRAIN_READER", "decoder_width", audience=READER,
    ),
    Option(
        "decoder_layers", whole(1, 24), 4, "layers of the part of seq2seq that writes",
        "TRAIN_READER", "decoder_layers", audience=READER,
    ),
    Option(
        "reader_epochs", whole(1), 30, "how many times training goes through the lines; --epochs "
        "on the command line beats it", "TRAIN_READER", "epochs", audience=READER,
    ),
    Option(
        "reader_lr", real(0, 1), 5e-4, "learning rate; --lr on the command line beats it",
        "TRAIN_READER", "lr", audience=READER,
    ),
    Option(
        "reader_batch", whole(1), 16, "lines at once; --batch_size on the command line beats it",
        "TRAIN_READER", "batch", audience=READER,
    ),
    Option(
        "reader_accumulation", whole(1), 1, "batches that are added up for one step",
        "TRAIN_READER", "accumulation", audience=READER,
    ),
    Option(
        "reader_patience", whole(0, 1000), 0, "end after so many epochs in a row that bring "
        "nothing better; 0: make them all", "TRAIN_READER", "patience", audience=READER,
    ),
    Option(
        "reader_ema", share(with_1=False), 0.998, "decay of the moving average of the weights",
        "TRAIN_READER", "ema", audience=READER,
    ),
    Option(
        "reader_augment", SWITCH, True, "vary slant, size, thickness and tone of the lines",
        "TRAIN_READER", "augment", audience=READER,
    ),
    Option(
        "reader_weight_decay", share(), 0.02, "how strongly weights are pulled towards zero",
        "TRAIN_READER", "weight_decay", audience=READER,
    ),
    Option(
        "reader_warmup", share(), 0.05, "share of the steps over which the learning rate rises",
        "TRAIN_READER", "warmup_ratio", audience=READER,
    ),
    Option(
        "reader_precision", choice("auto", "no", "bf16", "fp16"), "auto",
        "numbers that training computes with", "TRAIN_READER", "mixed_precision", audience=READER,
    ),
    Option(
        "reader_test_size", real(0, 0.5), 0.1, "share of the lines that test; as many validate",
        "TRAIN_READER", "test_size", audience=READER,
    ),
)
# fmt: on
