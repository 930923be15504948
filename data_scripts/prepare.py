"""From a pile of PDFs to training data: pdf2png, move_single, sort, and launchers for them."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

TOOLKIT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOOLKIT))

from pagesort.cli.console import Stop, console, emit, log_failure  # noqa: E402 - found by the line above
from pagesort.common.errors import PageSortError, UsageError  # noqa: E402

LEFT_STATUS = 3
LARGEST_DPI = 2400.0
EXIT_STATUS = """
exit status:
  0    all done
  1    it could not be done; one line says why
  2    the command line is wrong
  3    done, but something was left out; it is named and listed
  130  stopped by Ctrl-C; the same command goes on
"""

logger = logging.getLogger("pagesort.prepare")


def build_parser() -> argparse.ArgumentParser:
    """Make the parser of all jobs, a subcommand each."""
    parser = argparse.ArgumentParser(
        prog="prepare.py",
        description=__doc__,
        epilog=EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    jobs = parser.add_subparsers(dest="job", metavar="JOB", required=True)
    _add_pdf2png(_job(jobs, "pdf2png", "turn every PDF of a folder into <name>/<name>-<page>.png"))
    single = "move the page of every folder with exactly one PNG into onepagers/"
    _add_move_single(_job(jobs, "move_single", single))
    _add_sort(_job(jobs, "sort", "sort pages into one folder a class, as a table says"))
    _add_launchers(_job(jobs, "launchers", "put the launchers of the three jobs into a folder"))
    return parser


def _job(
    jobs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, what: str
) -> argparse.ArgumentParser:
    parser = jobs.add_parser(
        name,
        help=what,
        description=f"{what[0].upper()}{what[1:]}.",
        epilog=EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def _add_folder(parser: argparse.ArgumentParser, what: str) -> None:
    # A copied launcher names the folder it lies in; paths typed are the caller's all the same.
    here = Path(os.environ.get("PAGESORT_HERE", ""))
    parser.add_argument(
        "folder", nargs="?", type=Path, default=here, help=f"{what} (default: this folder)"
    )


def _add_dry_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry_run", action="store_true", help="only print what would be done")


def _add_pdf2png(parser: argparse.ArgumentParser) -> None:
    _add_folder(parser, "the folder of the PDFs")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to (default: beside them)")
    parser.add_argument(
        "--dpi", type=_number(1.0, LARGEST_DPI), default=300.0, help="resolution (default: 300)"
    )
    parser.add_argument(
        "--cropbox",
        action="store_true",
        help="show what viewers show, where a PDF crops its pages; by default the whole page",
    )
    parser.add_argument(
        "--remove",
        action="store_true",
        help="remove each PDF once all its pages are written and read back",
    )
    parser.add_argument(
        "--max_megapixels",
        type=_number(0.01, 2000.0),
        default=200.0,
        metavar="N",
        help="leave larger pages out (default: 200; A0 at 300 dpi has 140)",
    )
    parser.add_argument(
        "--max_side",
        type=int,
        default=20_000,
        metavar="PIXELS",
        help="leave longer pages out (default: 20000, which is 1.7 m at 300 dpi)",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=_processors(),
        metavar="N",
        help="pages drawn at a time (default: %(default)s, the processors of this machine)",
    )
    _add_dry_run(parser)
    parser.set_defaults(run=pdf2png)


def _add_move_single(parser: argparse.ArgumentParser) -> None:
    _add_folder(parser, "the folder of the documents' folders")
    _add_dry_run(parser)
    parser.set_defaults(run=move_single)


def _add_sort(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "table",
        nargs="?",
        type=Path,
        help="a CSV with the columns FILE, PAGE, CLASS, perhaps PATH; every table of run.py but "
        "that of failed pages will do",
    )
    _add_folder(
        parser, "the folder of the pages, subfolders included; PDFs and TIFFs of several pages are "
        "sorted page by page, as PNG"
    )  # fmt: skip
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where the folders of the classes are (default: FOLDER/sorted)",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--move", action="store_true", help="move the pages instead of copying them")
    how.add_argument(
        "--link",
        choices=("copy", "hard", "sym"),
        default="copy",
        help="copies (default), or hard or symbolic links",
    )
    parser.add_argument(
        "--undo",
        action="store_true",
        help="take the last run back: remove what it put into DIR, move back what it moved",
    )
    _add_dry_run(parser)
    parser.set_defaults(run=sort)


def _add_launchers(parser: argparse.ArgumentParser) -> None:
    _add_folder(parser, "where to put them")
    parser.set_defaults(run=launchers)


def _number(least: float, most: float) -> Callable[[str], float]:
    """What argparse calls a type."""

    def number(text: str) -> float:
        value = float(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not between {least:g} and {most:g}")
        return value

    return number


def _processors() -> int:
    from pagesort.common.hardware import processors

    return min(16, processors())


def pdf2png(arguments: argparse.Namespace) -> int:
    """Convert a folder's PDFs; print a line for each."""
    from pagesort.common.text import counted
    from pagesort.sorting.pdf_to_png import Conversion, convert_folder, survey_folder

    job = Conversion(
        folder=arguments.folder,
        out=arguments.out or arguments.folder,
        dpi=arguments.dpi,
        cropbox=arguments.cropbox,
        remove=arguments.remove,
        max_megapixels=arguments.max_megapixels,
        max_side=_at_least_one(arguments.max_side, "--max_side"),
        workers=_at_least_one(arguments.workers, "--workers"),
    )
    report = survey_folder(job) if arguments.dry_run else convert_folder(job)
    if not report.documents and not report.problems:
        logger.info("there are no PDFs in %s", job.folder.resolve())
        return 0
    for document in report.documents:
        pages = f"{document.pages} page{'s' if document.pages > 1 else ''}"
        last = document.page_file(job.out, document.pages)
        emit(f"{document.path.name}\t{pages}\t{last}")
    if arguments.dry_run:
        logger.info("nothing was written (--dry_run)")
    else:
        logger.info(
            "%s written, %d were there already, %d PDFs removed, %d problems",
            counted(report.written),
            report.present,
            len(report.removed),
            len(report.problems),
        )
    if report.failed is not None:
        logger.warning("what was left out is listed in %s", report.failed)
    return LEFT_STATUS if report.problems else 0


def move_single(arguments: argparse.Namespace) -> int:
    """Move single pages; print each with its new place."""
    from pagesort.common.text import counted
    from pagesort.sorting.single_pages import move_single_pages

    report = move_single_pages(arguments.folder, arguments.dry_run)
    for page, target in report.moved:
        emit(f"{page}\t{target}")
    what = "would be moved" if arguments.dry_run else "moved"
    logger.info("%s %s", counted(len(report.moved)), what)
    return LEFT_STATUS if report.problems else 0


def sort(arguments: argparse.Namespace) -> int:
    """Sort pages by a table, or take the last sorting back; print the manifest's path."""
    from pagesort.sorting import manifests
    from pagesort.sorting.from_table import SortJob, sort_by_table

    out = arguments.out or arguments.folder / "sorted"
    if arguments.undo:
        if arguments.table is not None:
            raise UsageError("--undo takes no table", remedy="Say where with --out DIR")
        done = manifests.undo(out, arguments.dry_run)
        return LEFT_STATUS if done.kept else 0
    if arguments.table is None:
        raise UsageError("sort needs a table", remedy="Give a CSV with FILE, PAGE, CLASS")
    pages = arguments.folder.resolve()
    if out.resolve() in (pages, *pages.parents):
        raise UsageError(
            "--out must not be the folder of the pages itself or one above it",
            where=out,
            remedy="Name another folder, such as FOLDER/sorted",
        )
    link = "move" if arguments.move else arguments.link
    table = arguments.table
    if not table.exists() and (arguments.folder / table).is_file():
        table = arguments.folder / table
    job = SortJob(table, arguments.folder, out, link, arguments.dry_run)
    report = sort_by_table(job)
    for line in report.planned:
        emit(line)
    for path in (report.manifest, report.problem_list):
        if path is not None:
            emit(str(path))
    return LEFT_STATUS if report.problems else 0


def launchers(arguments: argparse.Namespace) -> int:
    """Put launchers that know this toolkit's place into a folder; print each."""
    from pagesort.common.files import readable_folder, unwritable

    windows = os.name == "nt"
    source = TOOLKIT / "data_scripts" / ("windows" if windows else "unix")
    folder = readable_folder(arguments.folder)
    for path in sorted(source.glob("*.bat" if windows else "*.sh")):
        text = _filled_in(path.read_bytes().decode("utf-8"), windows)
        target = folder / path.name
        try:
            content = text.encode("utf-8", "surrogateescape")
            if target.exists() and target.read_bytes() != content:
                raise PageSortError("another is there already", where=target, remedy="Remove it")
            target.write_bytes(content)
            target.chmod(0o755)
        except OSError as error:
            raise unwritable(error, target) from error
        emit(str(target))
    return 0


def _filled_in(text: str, windows: bool) -> str:
    """A launcher with this toolkit's place in it; blanks and `&` in that do no harm."""
    if windows:
        place = str(TOOLKIT).replace("%", "%%")
        return text.replace("set PLACE=\r\n", f'set "PLACE={place}"\r\n', 1)
    place = "'" + str(TOOLKIT).replace("'", "'\\''") + "'"
    return text.replace("place=\n", f"place={place}\n", 1)


def _at_least_one(value: int, flag: str) -> int:
    if value < 1:
        raise UsageError(f"{flag} {value} is too small", remedy="Give a whole number from 1")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command line and return its exit status (0, 1, 2, 3, or 128 + signal)."""
    try:
        arguments = build_parser().parse_args(argv)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 0
    stop = Stop(is_program=argv is None)
    with console(arguments.debug), stop.watching():
        try:
            return int(arguments.run(arguments))
        except KeyboardInterrupt as interrupt:
            logger.error("stopped; %s", str(interrupt) or "the same command goes on")
            return 128 + stop.signal_number
        except Exception as error:  # noqa: BLE001 - the one border: a person gets a line
            return log_failure(logger, error, arguments.debug)


if __name__ == "__main__":
    sys.exit(main())
