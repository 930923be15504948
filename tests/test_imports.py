"""Which folder imports which, imports inside functions included."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from tests.helpers.paths import ROOT
from tests.helpers.sources import statements, tree_of

COMMON, PAGES = {"common"}, {"common", "pages"}
MODELS, LABELLED = PAGES | {"models"}, PAGES | {"labelled"}
SCORING = MODELS | LABELLED | {"prediction"}
# For each folder of pagesort/, the other ones that it may import.
MAY_IMPORT = {
    "common": set(),
    "pages": COMMON,
    "models": PAGES,
    "hub": MODELS,
    "labelled": PAGES,
    "sorting": PAGES,
    "records": COMMON,
    "prediction": PAGES | {"models", "sorting"},
    "embeddings": SCORING,
    "grouping": SCORING | {"embeddings", "reading", "records", "review"},
    "search": SCORING | {"embeddings"},
    "evaluation": SCORING,
    "voting": SCORING | {"evaluation"},
    "review": SCORING | {"evaluation", "sorting"},
    "training": MODELS | LABELLED,
    "reading": SCORING | {"records", "training"},
    "cli": SCORING
    | {"embeddings", "evaluation", "grouping", "hub", "records", "review", "search", "sorting"}
    | {"reading", "training", "voting"},
}
# What still breaks the rules, and why.
EXCEPTIONS: set[tuple[str, str]] = set()
PROGRAMS = {"run.py", "data_scripts/prepare.py"}  # which alone read a command line
SOURCES = [
    path
    for pattern in ("*.py", "pagesort/**/*.py", "bundled_models/**/*.py", "data_scripts/*.py")
    for path in sorted(ROOT.glob(pattern))
]


def name_of(path: Path) -> str:
    """A file's path in the repository, with slashes."""
    return path.relative_to(ROOT).as_posix()


@cache
def imports_of(path: Path) -> set[str]:
    """The modules that a file imports anywhere, by their full names."""
    found: set[str] = set()
    inside: list[ast.AST] = [tree_of(path)]
    while inside:
        node = inside.pop()
        inside += statements(node)
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are written in full"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                place = ROOT / inner.replace(".", "/")
                is_module = place.with_suffix(".py").exists() or place.is_dir()
                found.add(inner if is_module else str(node.module))
    return found


def is_allowed(path: Path, module: str) -> bool:
    """Whether the file lies where it may import the module, which may be anybody's."""
    top, _, rest = module.partition(".")
    if top == "run":
        return False
    home, *inner = path.relative_to(ROOT).parts[:-1] or ("",)
    if home == "bundled_models":
        return top != "classifier" and not module.startswith("pagesort.cli")
    if top == "bundled_models":
        return False
    if home == "pagesort" and inner:
        if top == "classifier":
            return inner[0] == "cli"
        room = rest.partition(".")[0]
        # What stands in the package itself is its version.
        return top != "pagesort" or room in ("", inner[0]) or room in MAY_IMPORT[inner[0]]
    return name_of(path) in PROGRAMS or not module.startswith("pagesort.cli")


def test_folders_import_only_what_lies_below_them() -> None:
    broken = {
        (name_of(path), module)
        for path in SOURCES
        for module in imports_of(path)
        if not is_allowed(path, module)
    }
    assert broken == EXCEPTIONS


def test_rooms_and_modules_are_told_apart_from_names(tmp_path: Path) -> None:
    file = tmp_path / "imports.py"
    file.write_text(
        "from pagesort import cli\n"
        "from pagesort.common import files\n"
        "from pagesort.common.files import whole\n"
    )
    assert imports_of(file) == {"pagesort.cli", "pagesort.common.files"}


def test_exceptions_are_of_files_that_exist() -> None:
    assert {name for name, _ in EXCEPTIONS} <= {name_of(path) for path in SOURCES}


def test_every_folder_has_its_rule() -> None:
    folders = {path.parent.name for path in ROOT.glob("pagesort/*/__init__.py")}
    assert folders == set(MAY_IMPORT)


def test_utils_imports_nothing_of_ours_but_how_plots_are_written() -> None:
    modules = imports_of(ROOT / "utils.py")
    tops = {module.partition(".")[0] for module in modules}
    assert not tops & {"bundled_models", "classifier", "run"}
    ours = {module for module in modules if module.startswith("pagesort")}
    assert ours == {"pagesort.common.drawing"}
