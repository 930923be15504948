"""Options of training."""

from __future__ import annotations

from pathlib import Path

from pagesort.cli.options.option import EVALUATIONS, TRAINING, Option
from pagesort.cli.value_types import (
    CLASS_WEIGHTS,
    DIRECTORY,
    FILE,
    SERVICES,
    SWITCH,
    auto_or,
    choice,
    real,
    share,
    whole,
    zero_or,
)

# One row, two lines or three: a table to look things up in.
# fmt: off
OPTIONS: tuple[Option, ...] = (
    Option(
        "train", SWITCH, False, "fine-tune a model on labelled pages",
        flags=("--train",), audience=TRAINING,
    ),
    Option(
        "train_folder", DIRECTORY, Path("category_samples"),
        "labelled pages: one subfolder a category",
        "TRAIN", "FOLDER_PAGES", ("--train_folder",), TRAINING, shipped=True,
        used_by=("train", "suspects_of", *EVALUATIONS),
    ),
    Option(
        "train_list", FILE, None,
        "instead of a folder, a CSV table of pages: path, label, split (train, val or test)",
        flags=("--train_list",), audience=TRAINING, used_by=("train", "suspects_of", *EVALUATIONS),
    ),
    Option(
        "folds", zero_or(whole(2, 100)), 0,
        "train so many times, each time without another part of the documents, and score that part",
        "TRAIN", "folds", ("--folds",), TRAINING, used_by=("train",),
    ),
    Option(
        "train_all", SWITCH, False, "with --folds, also train a model on all pages",
        flags=("--train_all",), audience=TRAINING, used_by=("train",),
    ),
    Option(
        "epochs", whole(1), 3, "how many times training goes through the pages",
        "TRAIN", "epochs", ("--epochs",), TRAINING, used_by=("train", "train_reader"),
    ),
    Option(
        "patience", whole(0), 0, "end after so many epochs without a better one; 0: never",
        "TRAIN", "patience", ("--patience",), TRAINING, used_by=("train",),
    ),
    Option(
        "lora_rank", whole(1, 1024), 8, "rank of the adapters of towers = lora",
        "TRAIN", "lora_rank", audience=TRAINING,
    ),
    Option(
        "report_to", SERVICES, (), "send the curves to these services besides TensorBoard",
        "TRAIN", "report_to", ("--report_to",), TRAINING, used_by=("train",),
    ),
    Option(
        "lr", real(0, 1), 5e-5, "learning rate",
        "TRAIN", "lr", ("--lr",), TRAINING, used_by=("train", "train_reader"),
    ),
    Option(
        "max_categ", whole(1), 2000, "use at most so many pages of a category; C in table names",
        "TRAIN", "max_categ", ("-mc", "--max_categ"), TRAINING,
    ),
    Option(
        "safe", SWITCH, False, "check every page before training and leave out broken ones",
        flags=("--safe",), audience=TRAINING, used_by=("train",),
    ),
    Option(
        "test_size", real(0, 0.5), 0.1, "share of the pages that test; as many again validate",
        "TRAIN", "test_size", audience=TRAINING,
    ),
    Option(
        "split", choice("document", "page"), "document",
        "what stays together when pages are split: a whole document, or a page",
        "TRAIN", "split", audience=TRAINING,
    ),
    Option(
        "objective", choice("labels", "contrastive"), "labels",
        "pages against the descriptions of all labels, or of the batch only",
        "TRAIN", "objective", audience=TRAINING,
    ),
    Option(
        "towers", choice("both", "image", "lora", "probe"), "both",
        "what learns: both towers, the image tower, adapters of it, or a head on it only",
        "TRAIN", "towers", ("--towers",), TRAINING, used_by=("train",),
    ),
    Option(
        "sampling", choice("balanced", "natural"), "balanced",
        "every label equally often, or every page", "TRAIN", "sampling", audience=TRAINING,
    ),
    Option(
        "class_weights", CLASS_WEIGHTS, "none",
        "how much pages of a label count: none (alike), balanced, or as in DRAW=2,PHOTO=0.5",
        "TRAIN", "class_weights", audience=TRAINING,
    ),
    Option(
        "augment", SWITCH, True, "vary tone and sharpness of the pages",
        "TRAIN", "augment", audience=TRAINING,
    ),
    Option(
        "weight_decay", share(), 0.1, "how strongly weights are pulled towards zero",
        "TRAIN", "weight_decay", audience=TRAINING,
    ),
    Option(
        "layer_decay", share(with_0=False), 1.0,
        "learning rate of each layer as a share of the next one's",
        "TRAIN", "layer_decay", audience=TRAINING,
    ),
    Option(
        "warmup_ratio", share(), 0.1, "share of the steps over which the learning rate rises",
        "TRAIN", "warmup_ratio", audience=TRAINING,
    ),
    Option(
        "ema", share(with_1=False), 0.0, "decay of the moving average of the weights; 0: none",
        "TRAIN", "ema", audience=TRAINING,
    ),
    Option(
        "wise_ft", auto_or(share()), None,
        "share of the trained weights in their mean with the starting ones; auto: best share on "
        "the validation pages", "TRAIN", "wise_ft", audience=TRAINING,
    ),
    Option(
        "batch_norm", choice("frozen", "trained"), "trained",
        "whether batch normalisation keeps the starting model's statistics",
        "TRAIN", "batch_norm", audience=TRAINING,
    ),
    Option(
        "mixed_precision", choice("auto", "no", "bf16", "fp16"), "auto",
        "numbers that training computes with", "TRAIN", "mixed_precision", audience=TRAINING,
    ),
    Option(
        "accumulation", whole(1), 1, "batches that are added up for one step",
        "TRAIN", "accumulation", audience=TRAINING,
    ),
    Option(
        "gradient_checkpointing", SWITCH, False, "save memory by computing twice",
        "TRAIN", "gradient_checkpointing", audience=TRAINING,
    ),
    Option(
        "workers", auto_or(whole(0)), None, "processes that prepare pages",
        "TRAIN", "workers", audience=TRAINING,
    ),
    Option(
        "log_step", whole(1), 10, "training steps between two reports",
        "TRAIN", "log_step", audience=TRAINING,
    ),
    Option(
        "checkpoint_folder", DIRECTORY, Path("model_checkpoints"), "where training keeps its state",
        "OUTPUT", "FOLDER_CPOINTS", audience=TRAINING,
    ),
    Option(
        "training", SWITCH, False, "train when nothing else is asked for",
        "TRAIN", "Training", audience=TRAINING,
    ),
    Option(
        "seed", whole(0, 2**32 - 1), 420, "start of every random sequence",
        "SETUP", "seed", audience=TRAINING,
    ),
)
# fmt: on
