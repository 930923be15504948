"""Options of fetching and publishing models."""

from __future__ import annotations

from pagesort.cli.options.option import HUB, Option
from pagesort.cli.value_types import FILE, HUB_ACTION, REVISION, SWITCH, TEXT

# One row, two lines or three: a table to look things up in.
# fmt: off
OPTIONS: tuple[Option, ...] = (
    Option(
        "hf", HUB_ACTION, None, "fetch the model of -m or -rev from the hub (pull, the default), "
        "publish one (push), pack one into a file or install it from there, for machines without "
        "a network (export, import)", flags=("--hf",), audience=HUB, words=True, no_words="pull",
    ),
    Option(
        "public", SWITCH, False, "with --hf push: everybody can see a repository that it makes",
        flags=("--public",), audience=HUB,
    ),
    Option(
        "yes", SWITCH, False, "with --hf push: do not ask before anything is sent",
        flags=("--yes",), audience=HUB,
    ),
    Option(
        "export_onnx", FILE, None, "write the model with its labels into one .onnx file, for "
        "other programs", flags=("--export_onnx",), audience=HUB,
    ),
    Option(
        "repo_name", TEXT, "ufal/clip-historical-page", "repository of published models",
        "HF", "repo_name", audience=HUB,
    ),
    Option(
        "token", TEXT, None, "access token of the hub; better kept in the environment",
        "HF", "token", audience=HUB, secret=True,
    ),
    Option(
        "use_hf", SWITCH, False, "fetch the model without being asked on the command line",
        "HF", "use_hf", audience=HUB,
    ),
    Option(
        "latest", REVISION, "v2.2", "revision that counts as the newest",
        "HF", "latest", audience=HUB,
    ),
)
# fmt: on
