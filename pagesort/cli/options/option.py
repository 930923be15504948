"""What a row of the option table tells of a setting."""

from __future__ import annotations

from dataclasses import dataclass

from pagesort.cli.value_types import SWITCH, Kind, Value

ONE_PAGE = "one page (archivist)"
FOLDER = "a folder of pages (archivist)"
GROUPING = "grouping pages into items (archivist)"
SEARCH = "finding pages (archivist)"
TRAINING = "training (researcher)"
REVIEW = "looking at the result and correcting it (archivist)"
READING = "reading handwriting, type and print (archivist)"
READER = "teaching a reader of handwriting, and measuring it (archivist, researcher)"
EVALUATION = "evaluation and comparison (researcher)"
MODELS = "models and descriptions (researcher)"
HUB = "fetching and publishing models (both)"
SCALE = "several processes and machines (batch jobs)"
EVERYONE = "everyone"
AUDIENCES = (
    *(ONE_PAGE, FOLDER, REVIEW, GROUPING, SEARCH),
    *(READING, TRAINING, READER, EVALUATION, MODELS, HUB, SCALE, EVERYONE),
)

# Options that say what is to be done, in the order in which it is.
FOLDER_ACTIONS = ("directory", "dir")
PREDICTIONS = ("file", *FOLDER_ACTIONS)
EVALUATIONS = ("eval", "eval_dir", "compare_models")
READER_ACTIONS = ("train_reader", "synthetic_samples", "eval_reader")
SEARCHES = ("find", "similar", "duplicates")
ACTIONS = (
    *("hf", "train", *READER_ACTIONS, "train_groups", *EVALUATIONS, "vis"),
    *(*PREDICTIONS, *SEARCHES, "read"),
    *(
        "compare",
        "review",
        "audit",
        "audit_result",
        "suspects_of",
        "merge",
        "status",
        "undo",
        "check",
        "export_onnx",
    ),
)


@dataclass(frozen=True)
class Option:
    """One row of the table: a setting, where it can be written, and who needs it.

    `section` and `key` are None for what only the command line can say; `flags` is empty for what
    only `config.txt` can say. A default path that is `shipped` lies beside run.py, any other
    relative default beside the `config.txt` in use. The value of a `repeatable` option is a tuple
    of all that were given; `words` says that the flag takes any number of words, which `kind` reads
    with line breaks between them. An `is_section` option is a whole section of `config.txt` with
    keys of the person's own, and `kind` is that of each value; its default is laid under what is
    written. `used_by` names the actions that the option means something to,
    none of them standing for all.
    """

    name: str
    kind: Kind
    default: Value
    help: str
    section: str | None = None
    key: str | None = None
    flags: tuple[str, ...] = ()
    audience: str = EVERYONE
    shipped: bool = False
    secret: bool = False
    repeatable: bool = False
    words: bool = False
    no_words: str = ""
    is_section: bool = False
    used_by: tuple[str, ...] = ()

    @property
    def is_switch(self) -> bool:
        """Whether the option is on or off, so that its flag takes no value."""
        return self.kind is SWITCH

    @property
    def place(self) -> str:
        """Where `config.txt` holds the option, as messages write it."""
        return f"[{self.section}] {self.key}"
