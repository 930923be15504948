"""README, config.txt, flags and imports agree with the option table and the layout's rules."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from dataclasses import fields, replace
from functools import cache
from pathlib import Path

import pytest

import run
from pagesort import __version__
from pagesort.cli import actions
from pagesort.cli.actions.training import training_recipe
from pagesort.cli.ini import read_entries
from pagesort.cli.options import ACTIONS, AUDIENCES, BY_NAME, OPTIONS
from pagesort.cli.parser import OTHER_FLAGS, build_parser, flags_of
from pagesort.cli.settings import Settings, read_settings
from tests.helpers.paths import ROOT
from tests.helpers.sources import statements, tree_of

MODULES = sorted([*ROOT.glob("pagesort/**/*.py"), *ROOT.glob("bundled_models/**/*.py")])
DOCS = sorted(ROOT.glob("docs/*.md"))
HEAVY = {"torch", "torchvision", "transformers", "pandas", "sklearn", "matplotlib", "safetensors"}
# What consists of torch code may import it at the top, and a subclass of the trainer needs that.
MAY_LOAD = dict.fromkeys(
    (
        "bundled_models/page_classifier/build.py",
        "bundled_models/page_classifier/learner.py",
        "bundled_models/page_classifier/views.py",
        "bundled_models/page_trunks/learner.py",
        "pagesort/models/external_formats.py",
        "pagesort/models/fast/fast_loading.py",
        "pagesort/models/fast/int8.py",
        "pagesort/models/fast/letters.py",
        "pagesort/models/fast/page_trunks.py",
        "pagesort/models/fast/towers.py",
        "pagesort/models/formats.py",
        "pagesort/models/line_networks.py",
        "pagesort/models/image_tower.py",
        "pagesort/models/onnx_file.py",
        "pagesort/models/openai_clip.py",
        "pagesort/reading/architectures.py",
        "pagesort/reading/augmentation.py",
        "pagesort/reading/ctc_reader.py",
        "pagesort/reading/learner.py",
        "pagesort/reading/network.py",
        "bundled_models/line_finder/detector.py",
        "pagesort/reading/seq2seq.py",
        "pagesort/reading/training.py",
        "pagesort/reading/validation.py",
        "pagesort/reading/views.py",
        "pagesort/training/cpu.py",
        "pagesort/training/depthwise.py",
        "pagesort/training/lora.py",
        "pagesort/training/objective.py",
        "pagesort/training/optimiser.py",
        "pagesort/training/probe.py",
        "pagesort/training/process_group.py",
        "pagesort/training/train.py",
        "pagesort/training/weight_averaging.py",
    ),
    {"torch"},
)
MAY_LOAD |= dict.fromkeys(
    ("pagesort/models/trunks_model.py", "pagesort/training/loop.py"),
    {"torch", "transformers"},
)
KNOWN_FLAGS = {flag for option in OPTIONS for flag in flags_of(option)} | OTHER_FLAGS


@cache
def imports_of(path: Path, top_only: bool = False) -> frozenset[str]:
    """The modules a file imports, inside functions too, those for type checking left out."""
    found: set[str] = set()

    def visit(node: ast.AST, in_function: bool) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return
        if not (top_only and in_function):
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module)
                found.update(f"{node.module}.{alias.name}" for alias in node.names)
        inside = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for child in statements(node):
            visit(child, inside)

    visit(tree_of(path), False)
    return frozenset(found)


def name_of(path: Path) -> str:
    """A file's path in the repository, with slashes."""
    return path.relative_to(ROOT).as_posix()


def data_script_flags() -> set[str]:
    """The flags of data_scripts/prepare.py, as its helps tell."""
    script = ROOT / "data_scripts" / "prepare.py"
    helps = [
        subprocess.run(
            [sys.executable, str(script), job, "--help"], capture_output=True, text=True, check=True
        ).stdout
        for job in ("pdf2png", "move_single", "sort", "launchers")
    ]
    return set(re.findall(r"(?<!\S)--[a-z][\w-]*", " ".join(helps)))


def test_settings_have_a_field_for_every_option() -> None:
    own = {"origins", "arguments"}
    assert {field.name for field in fields(Settings)} == {o.name for o in OPTIONS} | own


def test_options_are_written_in_one_place_each() -> None:
    flags = [flag for option in OPTIONS for flag in flags_of(option)]
    keys = [(o.section, o.key.lower()) for o in OPTIONS if o.key and o.section]
    assert len(flags) == len(set(flags))
    assert len(keys) == len(set(keys))
    assert all(option.flags or option.key or option.is_section for option in OPTIONS)


def test_options_name_actions_that_exist() -> None:
    assert {action for option in OPTIONS for action in option.used_by} <= set(ACTIONS)
    assert all(action in BY_NAME for action in ACTIONS)


def test_every_part_of_a_recipe_can_be_set_or_is_left_out_on_purpose(tmp_path: Path) -> None:
    settings = read_settings([], tmp_path, tmp_path)
    changed = {
        "epochs": 7, "learning_rate": 0.1, "batch_size": 3, "accumulation": 2,
        "objective": "labels", "towers": "image", "sampling": "natural", "augment": False,
        "weight_decay": 0.3, "layer_decay": 0.4, "warmup_ratio": 0.5, "ema": 0.6, "wise_ft": 0.7,
        "batch_norm": "frozen", "mixed_precision": "fp16", "gradient_checkpointing": True,
        "class_weights": (("A", 2.0), ("B", 0.5)), "patience": 2, "lora_rank": 4,
    }  # fmt: skip
    named = {"lr" if name == "learning_rate" else name: value for name, value in changed.items()}
    named["class_weights"] = "A=2,B=0.5"
    recipe = training_recipe(replace(settings, **named))
    assert {name: getattr(recipe, name) for name in changed} == changed
    fixed = {"adam_beta2", "gradient_clip"}
    assert {field.name for field in fields(recipe)} == set(changed) | fixed


def test_the_version_stands_in_one_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--version"]) == 0
    assert capsys.readouterr().out == f"pagesort {__version__}\n"
    assert f'version: "{__version__}"' in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_shipped_config_holds_exactly_the_keys_of_the_table() -> None:
    shipped = {(entry.section, entry.key) for entry in read_entries(ROOT / "config.txt")}
    keys = {(o.section, o.key) for o in OPTIONS if o.key}
    sections = {o.section: o.default for o in OPTIONS if o.is_section}
    keys |= {(name, key) for name, content in sections.items() for key in content}
    assert shipped == keys


def test_shipped_config_says_the_defaults(tmp_path: Path) -> None:
    settings = read_settings([], ROOT, tmp_path)
    for option in OPTIONS:
        value = getattr(settings, option.name)
        default = ROOT / option.default if isinstance(option.default, Path) else option.default
        # The samples lie in one folder a label, so that the shipped file looks into subfolders.
        assert value == (True if option.name == "inner" else default), option.name


def test_config_sections_are_those_of_the_published_design_and_some_more() -> None:
    assert {o.section for o in OPTIONS if o.section} == {
        "OUTPUT", "EVAL", "TRAIN", "SETUP", "INPUT", "HF", "ROUTES", "GROUP", "SEARCH",
        "READ", "TRAIN_READER", "SCALE",
    }  # fmt: skip


def test_readme_and_table_name_the_same_flags() -> None:
    readme = ROOT / "README.md"
    if not readme.exists():
        pytest.skip("README.md is not written yet")
    text = readme.read_text(encoding="utf-8")
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    # A mention is a code span that begins with a flag, or what follows run.py in a command.
    spans = [span for span in re.findall(r"`([^`]+)`", prose) if span.startswith("-")]
    spans += re.findall(r"run\.py\b([^`\n]*)", text)
    mentioned = {flag for span in spans for flag in re.findall(r"(?<!\S)--?[a-z][\w-]*", span)}
    assert mentioned - KNOWN_FLAGS - data_script_flags() == set()
    documented = {option.name for option in OPTIONS if mentioned & set(flags_of(option))}
    assert {option.name for option in OPTIONS if option.flags} - documented == set()


def test_readme_has_no_blanks_and_names_files_that_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"@[A-Z_]+@", text) == []
    made_later = ("result/", "models/ViT", "models/converted", "downloads/", "model_checkpoints/")
    made_later += ("box.zip/",)  # an example
    named = {
        span
        for span in re.findall(r"`([\w./-]+)`", text)
        if ("/" in span or re.search(r"\.(py|txt|tsv|md|cff)$", span))
        and not span.startswith((*made_later, ".venv", "ufal/", "ViT"))
    }
    assert "run.py" in named
    assert [span for span in sorted(named) if not list(ROOT.glob(f"**/{span.strip('/')}"))] == []


def anchors_of(text: str) -> set[str]:
    """The names under which the headings of a Markdown file are linked to."""
    headings = re.findall(r"^#+ (.+)$", text, flags=re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", *map(name_of, DOCS)])
def test_links_lead_to_files_and_headings_that_exist(name: str) -> None:
    page = ROOT / name
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    broken = []
    for link in (link for link in links if "://" not in link):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or anchor and anchor not in anchors_of(target.read_text("utf-8")):
            broken.append(link)
    assert broken == []


def test_help_is_grouped_by_person() -> None:
    text = build_parser().format_help()
    places = [text.index(f"\n{audience}:") for audience in AUDIENCES]
    assert places == sorted(places)
    assert all(flag in text for flag in KNOWN_FLAGS)
    assert "exit status" in text


def test_help_loads_nothing_heavy_and_no_action() -> None:
    unwanted = (
        HEAVY | {"numpy", "PIL"} | {f"pagesort.cli.actions.{name}" for name in actions.__all__}
    )
    code = (
        "import sys, run; status = run.main(['--help']);"
        f"print(sorted(set(sys.modules) & {unwanted!r}), file=sys.stderr);"
        "sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stderr.strip() == "[]"
    assert done.stdout.startswith("usage: run.py")


def test_package_never_imports_its_users() -> None:
    found = {}
    for path in MODULES:
        names = {name.split(".")[0] for name in imports_of(path)}
        users = {"run", "classifier", "tests", "benchmarks"}
        if "cli" in path.parts:  # which opens models for the command
            users.remove("classifier")
        found[name_of(path)] = names & users
    assert {path: names for path, names in found.items() if names} == {}


def test_utils_needs_no_model() -> None:
    names = {name.split(".")[0] for name in imports_of(ROOT / "utils.py")}
    assert not names & {"classifier", "run", "torch", "transformers"}


def test_run_imports_little_at_the_top() -> None:
    names = {name for name in imports_of(ROOT / "run.py", top_only=True) if "pagesort" in name}
    # The settings, and what stands between the program and its surroundings.
    modules = {name for name in names if (ROOT / f"{name.replace('.', '/')}.py").exists()}
    assert modules == {
        "pagesort.cli.console",
        "pagesort.cli.logged",
        "pagesort.cli.parser",
        "pagesort.cli.settings",
        "pagesort.common.errors",
        "pagesort.common.processes",
    }


def test_heavy_libraries_load_where_they_are_needed() -> None:
    found = {}
    for path in (ROOT / "utils.py", ROOT / "run.py", *MODULES):
        tops = {name.split(".")[0] for name in imports_of(path, top_only=True)}
        found[name_of(path)] = tops & HEAVY - MAY_LOAD.get(name_of(path), set())
    assert {path: names for path, names in found.items() if names} == {}


def test_package_never_prints() -> None:
    found = {
        f"{name_of(path)}: {function.name}"
        for path in MODULES
        for function in ast.walk(tree_of(path))
        # `main` is a command of its own, so its results go to stdout.
        if isinstance(function, ast.FunctionDef) and function.name != "main"
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and node.id == "print"
    }
    assert found == set()


def test_modules_stay_small() -> None:
    lines = {
        name_of(path): len(path.read_text(encoding="utf-8").splitlines())
        for path in (*ROOT.glob("*.py"), *MODULES)
    }
    assert {path: count for path, count in lines.items() if count > 500} == {}
