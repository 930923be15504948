"""The settings: precedence, origins, and one line for everything that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from pagesort.cli.settings import read_settings
from pagesort.common.errors import PageSortError, UsageError

# All keys of the published file, in forms that people write.
PUBLISHED = """\
[OUTPUT]
FOLDER_RESULTS=./results
FOLDER_CPOINTS=./model_checkpoints
FOLDER_MODELS=./models

[EVAL]
FOLDER_PAGES=/archive/100% scanned/eval

[TRAIN]
FOLDER_PAGES = /archive/train   ; the labelled ones

test_size = 0.1
log_step = 10
epochs = 10
lr = 1e-5
max_categ = 2000
max_categ_e = 1000
Training = False
Testing = no

[SETUP]
seed = 420
base_model = ViT-B/16
batch = 10          # pages
TOP_N : 3
raw = True
inner = off
files_format = PNG
categories_file = category_description_total.tsv
zero_shot = 0
avg = False
visualize = false
description_folder = ./category_descriptions
categories_prefix = page_categories
model_storage = "./a #1 folder"

[INPUT]
FOLDER_INPUT=./category_samples
chunk_size = 100

[HF]
repo_name = ufal/clip-historical-page
token = hf_qViUKX....ixyJpjstNxGO
use_hf = False
revision = v1.1
latest = v2.2
"""


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A program folder and a working folder, both without config.txt."""
    program, working = tmp_path / "program", tmp_path / "working"
    program.mkdir()
    working.mkdir()
    return program, working


def complaint(folders: tuple[Path, Path], *arguments: str, config: str | bytes = "") -> str:
    """The one line that wrong settings lead to."""
    content = config.encode() if isinstance(config, str) else config
    (folders[1] / "config.txt").write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_settings(arguments, *folders)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_published_config_works_unchanged(folders: tuple[Path, Path]) -> None:
    program, working = folders
    (working / "config.txt").write_text(PUBLISHED, encoding="utf-8")
    settings = read_settings([], program, working)
    assert (settings.batch_size, settings.topn) == (10, 3)
    assert (settings.raw, settings.inner) == (True, False)
    assert settings.eval_folder == Path("/archive/100% scanned/eval")
    assert settings.train_folder == Path("/archive/train")
    assert settings.model_storage == working / "a #1 folder"
    assert settings.results_folder == working / "results"
    assert settings.lr == 1e-5
    assert not (settings.training or settings.testing or settings.zero_shot or settings.visualize)
    assert settings.token == "hf_qViUKX....ixyJpjstNxGO"
    assert settings.file_format == ("png",)
    origins = {str(origin) for origin in settings.origins.values()}
    line = PUBLISHED.splitlines().index("batch = 10          # pages") + 1
    assert f"{working / 'config.txt'}, line {line}, [SETUP] batch" in origins


def test_token_is_never_shown(folders: tuple[Path, Path]) -> None:
    program, working = folders
    (working / "config.txt").write_text(PUBLISHED, encoding="utf-8")
    assert "qViUKX" not in repr(read_settings([], program, working))


def test_flag_beats_file_beats_default(folders: tuple[Path, Path]) -> None:
    program, working = folders
    (working / "config.txt").write_text("[SETUP]\nbatch = 5\ntop_N = 2\ninner = True\n")
    settings = read_settings(["-tn", "4", "--no-inner"], program, working)
    assert (settings.topn, settings.batch_size, settings.seed) == (4, 5, 420)
    assert settings.inner is False
    assert str(settings.origins["topn"]) == "command line -tn"
    config = working / "config.txt" if (working / "config.txt").exists() else program / "config.txt"
    assert str(settings.origins["batch_size"]) == f"{config}, line 2, [SETUP] batch"
    assert str(settings.origins["seed"]) == "default"


def test_file_of_working_folder_then_beside_program(folders: tuple[Path, Path]) -> None:
    program, working = folders
    (program / "config.txt").write_text("[SETUP]\nbatch = 3\n[OUTPUT]\nFOLDER_RESULTS = out\n")
    settings = read_settings([], program, working)
    assert (settings.batch_size, settings.results_folder) == (3, program / "out")
    (working / "config.txt").write_text("[SETUP]\nbatch = 4\n")
    settings = read_settings([], program, working)
    assert (settings.batch_size, settings.results_folder) == (4, working / "result")
    (working / "other.ini").write_text("[SETUP]\nbatch = 7\n")
    assert read_settings(["--config", "other.ini"], program, working).batch_size == 7


def test_byte_order_mark_and_windows_line_ends(folders: tuple[Path, Path]) -> None:
    program, working = folders
    content = "[INPUT]\r\nFOLDER_INPUT = C:\\scans\\příloha\r\n"
    (working / "config.txt").write_bytes(b"\xef\xbb\xbf" + content.encode())
    settings = read_settings([], program, working)
    assert str(settings.input_folder).endswith("C:\\scans\\příloha")


def test_empty_values_mean_defaults(folders: tuple[Path, Path]) -> None:
    program, working = folders
    (working / "config.txt").write_text("[HF]\ntoken =  # none\n[EVAL]\nFOLDER_PAGES =\n")
    settings = read_settings([], program, working)
    assert settings.token is None
    assert settings.eval_folder == program / "category_samples"


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("[SETUP]\n\nbatch = many\n", "[SETUP] batch = many"),
        ("[SETUP]\n\nbatch = 0\n", "a whole number, 1 to 4096"),
        ("[SETUP]\n\nbatch =\n", "[SETUP] batch is empty"),
        ("[SETUP]\n\ninner = perhaps\n", "True or False"),
        ("[SETUP]\n\nbase_model = ViT-X/9\n", "ViT-L/14@336px"),
        ("[HF]\n\nrevision = v9.9\n", "[HF] revision"),
        ("[TRAIN]\n\nlr = nan\n", "a number above 0 and below 1"),
        ("[TRAIN]\n\ntest_size = 1\n", "a number above 0 and below 0.5"),
        ("[TRAIN]\n\nema = 1.0\n", "a number, 0 to below 1"),
        ("[TRAIN]\n\nlayer_decay = 0\n", "a number, above 0 to 1"),
        ("[SETUP]\n\nfiles_format = p/ng\n", "separated by commas"),
        ("[SETUP]\n\nbtach = 3\n", "Did you mean [SETUP] batch?"),
        ("[INPUT]\n\ntop_N = 3\n", "Did you mean [SETUP] top_N?"),
        ("[SETTUP]\n\n\nbatch = 3\n", "Did you mean [SETUP]?"),
        ("[SETUP]\nbatch = 3\nbatch = 4\n", "lines 2 and 3"),
        ("[SETUP]\n\nbatch\n", "neither a [SECTION] nor a 'key = value' line"),
        ("\n\nbatch = 3\n", "before any [SECTION]"),
        (b"[SETUP]\n\ncategories_prefix = p\xf8\n", "not UTF-8"),
        ("[SETUP]\n\nseed = 1\n".encode("utf-16"), "not UTF-8"),
    ],
)
def test_wrong_file_is_told_with_its_place(
    folders: tuple[Path, Path], config: str | bytes, expected: str
) -> None:
    line = complaint(folders, config=config)
    assert expected in line
    assert str(folders[1] / "config.txt") in line
    assert "line" in line


@pytest.mark.parametrize(
    "config",
    ["nonsense", "server = example.org\n", "[DEFAULT]\nport = 80\n", b"\xff\xfes\0", "a: {b: c}\n"],
)
def test_a_settings_file_of_another_program_is_recognised(
    folders: tuple[Path, Path], config: str | bytes
) -> None:
    program, working = folders
    line = complaint(folders, config=config)
    assert "seems to belong to another program" in line
    assert f"{working / 'config.txt'}, line " in line
    assert f"--config {program / 'config.txt'}" in line
    # One that was named is ours, whatever stands in it.
    assert "another program" not in complaint(folders, "--config", "config.txt", config=config)


def test_lines_are_counted_as_editors_count_them(folders: tuple[Path, Path]) -> None:
    odd = "a\fpage\x0bof\x85odd\u2028marks"
    line = complaint(folders, config=f"# {odd}\r\n[SETUP]\r\nbatch = 0\r\n")
    assert "config.txt, line 3" in line


@pytest.mark.parametrize(
    ("config", "arguments", "instead"),
    [
        ("[INPUT]\nFOLDER_INPUT =\n", ["--dir"], "-d"),
        ("[TRAIN]\nFOLDER_PAGES =\n", ["--train"], "--train_folder"),
        ("[TRAIN]\nFOLDER_PAGES =  # later\nTraining = True\n", [], "--train_folder"),
        ("[EVAL]\nFOLDER_PAGES =\n", ["--eval"], "--eval_folder"),
    ],
)
def test_an_empty_folder_of_pages_never_means_the_samples(
    folders: tuple[Path, Path], config: str, arguments: list[str], instead: str
) -> None:
    line = complaint(folders, *arguments, config=config)
    assert "is empty, so there are no pages to read" in line
    assert "config.txt, line 2" in line
    assert f"give it with {instead}" in line
    read_settings(["-f", "a.png"], *folders)  # which needs no folder


@pytest.mark.parametrize(
    "arguments",
    [
        ["-f"], ["-d"], ["-d", ".", "--sort_to"], ["--train", "--train_folder"],
        ["--eval", "--eval_folder"], ["-f", "a.png", "-cc"], ["-f", "a.png", "--cat_dir"],
        ["-f", "a.png", "--model_path"], ["-f", "a.png", "--model_dir"], ["--config"],
    ],
)  # fmt: skip
def test_a_path_that_cannot_be_looked_up_is_told_with_its_flag(
    folders: tuple[Path, Path], arguments: list[str]
) -> None:
    for name, reason in (("x" * 300, "name too long"), ("circle/page.png", "symbolic links")):
        if not (folders[1] / "circle").is_symlink():
            (folders[1] / "circle").symlink_to("circle")
        path = folders[1] / name
        with pytest.raises(PageSortError) as caught:
            read_settings([*arguments, str(path)], *folders)
        assert str(caught.value).startswith(f"{arguments[-1]} cannot be used (")
        assert reason in str(caught.value)
        assert str(path) in str(caught.value)


def test_wrong_token_is_not_repeated(folders: tuple[Path, Path]) -> None:
    line = complaint(folders, config="[HF]\ntoken = hf_secret\ntoken = hf_secret\n")
    assert "hf_secret" not in line


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-tn", "0"], "-tn 0 is not allowed. Allowed: a whole number, 1 or more"),
        (["-tn", "two"], "a whole number"),
        (["-tn"], "expected one argument"),
        (["-f", ""], "a path"),
        (["-m", "ViT-X"], "Use one of ViT-B/16"),
        (["-rev", "v7"], "unknown revision"),
        (["--device", "gpu"], "auto, cpu, cuda"),
        (["--prompt", "a scan"], "{description}"),
        (["--max_megapixels", "-1"], "a number above 0"),
        (["-ff", ","], "extensions"),
        (["--mod", "x"], "unknown flag --mod. Did you mean --model"),
        (["-dir"], "Did you mean --dir?"),
        (["-r", "v1.1"], "unknown flag -r"),
        (["--tain"], "unknown flag --tain"),
        (["page.png"], "Put -f before a page"),
        (["-f", "a.png", "b.png"], "-f takes one page"),
        (["-f", "a.png", "-f", "b.png"], "-f a.png and -f b.png contradict"),
        (["-f", "a.png", "--dir"], "-f and --dir contradict"),
        (["-d", "a", "--dir"], "-d and --dir contradict"),
        (["--inner", "--no-inner"], "--inner and --no-inner contradict"),
        (["--dir", "scans"], "use -d scans"),
        (["-ff", "png", "jpg"], "by commas"),
        (["--resume"], "Add -d, --dir, --train, --train_reader or --read"),
        (["--resume", "-f", "a.png"], "--resume needs something to do"),
        (["--best"], "--best needs something to do. Add -f, -d or --dir"),
        (["--best", "--eval"], "--best needs something to do"),
        (["--zero_shot"], "Add --eval, --eval_dir, -f, -d or --dir"),
        (["--zero_shot", "--train"], "--train and --zero_shot contradict"),
        (["--best", "-f", "a.png", "--zero_shot"], "--best and --zero_shot contradict"),
        (["--best", "-f", "a.png", "--model_path", "m"], "--best and --model_path contradict"),
        (["--eval_dir", "--model_path", "m"], "--eval_dir and --model_path contradict"),
        (["--hf", "fetch"], "pull, push, export FILE or import FILE"),
        (["--hf", "export"], "pull, push, export FILE or import FILE"),
        (["--hf", "push", "now"], "pull, push, export FILE or import FILE"),
        (["--hf", "--yes"], "--yes is for --hf push"),
        (["--hf", "--model_path", "m"], "--hf and --model_path contradict"),
        (["--hf", "--zero_shot", "-f", "a.png"], "--hf and --zero_shot contradict"),
        (["--train", "--epochs", "0"], "a whole number, 1 or more"),
        (["--train", "--lr", "2"], "a number above 0 and below 1"),
        (["--prompt", "a photo of a {}", "--prompt", "one"], "--prompt one is not allowed"),
        (["-cc", "a.tsv", "--cat_dir", "b"], "contradict"),
        (["--config", "none.txt"], "does not exist"),
        (["--config", "."], "a folder, not a settings file"),
        (["--foo"], "unknown flag --foo. run.py --help lists"),
        (["--edir"], "unknown flag --edir. Did you mean --dir"),
    ],
)
def test_wrong_command_line_is_one_line(
    folders: tuple[Path, Path], arguments: list[str], expected: str
) -> None:
    assert expected in complaint(folders, *arguments)


def test_one_dash_spelling_of_model_path(folders: tuple[Path, Path]) -> None:
    settings = read_settings(["-model_path", "x.pt", "-mViT-L/14@336"], *folders)
    assert settings.model_path == Path("x.pt")
    assert settings.model == "ViT-L/14@336px"


def test_extensions_are_read_in_any_form(folders: tuple[Path, Path]) -> None:
    settings = read_settings(["-ff", "PNG,.Jpg, *.tif,png"], *folders)
    assert settings.file_format == ("png", "jpg", "tif")


def test_model_and_revision_that_contradict_are_told_with_their_places(
    folders: tuple[Path, Path],
) -> None:
    config = "[SETUP]\nbase_model = ViT-B/32\n[HF]\nrevision = v1.1\n"
    line = complaint(folders, config=config)
    assert "ViT-B/32" in line
    assert "v1.1" in line
    assert "config.txt, line 2, [SETUP] base_model" in line
    assert "config.txt, line 4, [HF] revision" in line
    line = complaint(folders, "-m", "ViT-B/16", "-rev", "v2.2", "--model_path", "x")
    assert "-m" in line
    assert "-rev" in line
    # A flag is stronger than the other's entry, and an entry than the other's default.
    settings = read_settings(["-m", "ViT-L/14"], *folders)
    assert settings.model == "ViT-L/14"


def test_the_cap_of_a_label_is_a_flag(folders: tuple[Path, Path]) -> None:
    assert read_settings(["-mc", "5"], *folders).max_categ == 5
    assert read_settings(["--max_categ", "7"], *folders).max_categ == 7


@pytest.mark.parametrize("name", ["-page.png", "-file.png", "-1.png", "-mine"])
def test_a_page_that_begins_with_a_dash_has_a_way_out(
    folders: tuple[Path, Path], name: str
) -> None:
    assert f"./{name}" in complaint(folders, "-f", name)


@pytest.mark.parametrize(
    ("flag", "expected"),
    [("-mc5", "Write -mc 5"), ("-mce5", "Write -mce 5"), ("-hf", "Did you mean --hf")],
)
def test_glued_and_one_dash_flags_are_not_read_as_shorter_ones(
    folders: tuple[Path, Path], flag: str, expected: str
) -> None:
    assert expected in complaint(folders, flag)


def test_actions_of_the_hub(folders: tuple[Path, Path]) -> None:
    assert read_settings(["--hf"], *folders).hf == ("pull",)
    assert read_settings(["--hf", "pull", "-rev", "no-such-1"], *folders).revision == "no-such-1"
    assert read_settings(["--hf", "export", "a b.zip"], *folders).hf == ("export", "a b.zip")
    settings = read_settings(["--hf", "--dir"], *folders)
    assert settings.actions == ("hf", "dir")
    assert not settings.fetches_first
    (folders[1] / "config.txt").write_text("[HF]\nuse_hf = True\n")
    assert read_settings(["--dir"], *folders).fetches_first
    assert not read_settings(["--dir", "--model_path", "m"], *folders).fetches_first
    assert not read_settings(["--train"], *folders).fetches_first


def test_prompts_may_be_several(folders: tuple[Path, Path]) -> None:
    arguments = ["-f", "a.png", "--prompt", "a photo of {}", "--prompt", "a {description}"]
    assert read_settings(arguments, *folders).prompt == ("a photo of {}", "a {description}")


def test_the_settings_file_decides_what_to_do_if_nothing_else_does(
    folders: tuple[Path, Path],
) -> None:
    (folders[1] / "config.txt").write_text("[TRAIN]\nTraining = True\nTesting = True\n")
    assert read_settings([], *folders).actions == ("train", "eval")
    assert read_settings(["-f", "a.png"], *folders).actions == ("file",)


def test_a_token_under_the_wrong_key_is_not_shown(folders: tuple[Path, Path]) -> None:
    line = complaint(folders, config="[HF]\nuse_hf = hf_secretSecret\n")
    assert "[HF] use_hf" in line
    assert "hf_secret" not in line


def test_any_key_can_be_set_on_the_command_line(folders: tuple[Path, Path]) -> None:
    (folders[1] / "config.txt").write_text(
        "[TRAIN]\nema = 0.5\nlr = 1e-3\n[ROUTES]\nTEXT = none\nMINE = OCR\n"
    )
    words = ["--set", "train.ema=0.99", "--set", "TRAIN.Lr = 2e-5", "--set", "routes.mine=HTR"]
    words += ["--set", "output.FOLDER_RESULTS=out put"]
    settings = read_settings(words, *folders)
    assert (settings.ema, settings.lr) == (0.99, 2e-5)
    assert (settings.routes["mine"], settings.routes["TEXT"]) == ("HTR", "none")
    assert settings.results_folder == folders[1] / "out put"
    assert settings.flag("ema") == "--set train.ema"
    assert read_settings(["--lr", "2e-5", *words], *folders).lr == 2e-5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train.emma=0.9"], "Did you mean [TRAIN] ema?"),
        (["trian.ema=0.9"], "Did you mean [TRAIN]?"),
        (["ema=0.9"], "perhaps --set train.ema"),
        (["train.ema"], "is not SECTION.KEY=VALUE"),
        (["train.ema=1"], "[TRAIN] ema = 1 is not allowed"),
        (["train.lr=1e-3", "--lr", "1e-4"], "--lr and --set train.lr contradict each other"),
        (["train.ema=0.5", "--set", "train.ema=0.6"], "contradict each other"),
        (["hf.token=hf_secret"], "only you can read"),
        (["train.class_weights=A"], "numbers above 0 as in DRAW=2,PHOTO=0.5"),
        (["train.folds=1"], "0 for none, or a whole number, 2"),
        (["train.report_to=telegram"], "none, wandb, mlflow"),
    ],
)
def test_what_cannot_be_set_is_told(
    folders: tuple[Path, Path], words: list[str], said: str
) -> None:
    line = complaint(folders, "--set", *words)
    assert said in line
    assert "hf_secret" not in line
