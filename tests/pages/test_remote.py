"""Pages at other places: memory, this disk and a web server stand for all of them."""

from __future__ import annotations

import contextlib
import functools
import http.server
import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

import run
from pagesort.common import addresses, optional
from pagesort.common.addresses import absolute, address_of, has_secret, is_remote, readable
from pagesort.common.errors import PageSortError, PageUnreadableError
from pagesort.pages import remote
from pagesort.pages.loader import Failure, Page, PageLoader, PageRef
from pagesort.pages.places import open_page_file
from pagesort.pages.preprocessing import Preprocessing
from pagesort.prediction import folder_run
from pagesort.prediction.request import Request, check_request
from tests.helpers.brightness import ByBrightness
from tests.helpers.command import error_line, read_table, workplace
from tests.helpers.pdfs import Sheet, write_pdf

fsspec = pytest.importorskip("fsspec")

__all__ = ["workplace"]  # a fixture


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and a few paths that mean harm; remembers what it was asked for."""

    asked: list[str] = []

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:  # noqa: N802 - the name that the server calls
        self.asked.append(self.path)
        if self.path.startswith("/endless"):
            self.send_response(200)
            self.end_headers()
            try:
                for _ in range(1000):
                    self.wfile.write(bytes(1 << 16))
            except OSError:
                return
        elif self.path.startswith("/silent"):
            time.sleep(1.5)
        elif self.path == "/links/":
            page = "<a href='/etc/passwd.png'>x</a><a href='https://elsewhere.test/a.png'>x</a>"
            page += "<a href='../up.png'>x</a><a href='good.png?C=N'>x</a>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())
        else:
            super().do_GET()


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    for place, name in enumerate(("", "box 2", "box 10 ř")):
        (folder / name).mkdir(exist_ok=True)
        for number in range(1, 4):
            Image.new("L", (30, 40), 60 * number + place).save(folder / name / f"p-{number}.png")
    (folder / "torn.png").write_bytes(b"no picture")
    (folder / ".hidden.png").write_bytes(b"x")
    write_pdf(folder / "d.pdf", [Sheet((60, 80), text="a"), Sheet((60, 80), text="b")])
    return folder


@pytest.fixture(scope="module")
def web(scans: Path) -> Iterator[str]:
    """The address of a server that shows the scans."""
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(scans))
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def memory(scans: Path) -> str:
    """The address of the same scans in memory; without the PDF, which another process reads."""
    system = fsspec.filesystem("memory")
    for path in scans.rglob("*.png"):
        system.pipe(f"/pile/{path.relative_to(scans).as_posix()}", path.read_bytes())
    return "memory://pile"


def sort(folder: str | Path, tables: Path, **more: object) -> list[Path]:
    settings = {
        "folder": Path(folder), "formats": ("png",), "inner": True, "tables": tables, "top_n": 1,
        "raw": True, "max_categ": 10, "batch_size": 4, "max_megapixels": 9.0, "resume": False,
    }  # fmt: skip
    request = Request(**(settings | more))
    check_request(request)
    return list(folder_run.predict_folder(ByBrightness(), request).tables)


def test_tables_are_those_of_a_folder_here(
    scans: Path, memory: str, web: str, tmp_path: Path
) -> None:
    here = sort(scans, tmp_path / "here")
    for name, place in (("m", memory), ("w", web), ("l", f"local://{scans}")):
        tables = sort(place, tmp_path / name)
        for ours, theirs in zip(tables, here, strict=True):
            assert ours.read_bytes() == theirs.read_bytes(), place
    shown = read_table(sort(web, tmp_path / "a", absolute_paths=True)[0])
    assert {row["PATH"].rpartition("/p-")[0] for row in shown} == {
        *(web, f"{web}/box 2", f"{web}/box 10 ř")
    }


def test_only_what_is_asked_for_is_fetched(web: str, tmp_path: Path) -> None:
    Handler.asked.clear()
    sort(web, tmp_path, inner=False)
    assert {path.rpartition("/")[2] for path in Handler.asked} == {
        *("", "p-1.png", "p-2.png", "p-3.png", "torn.png")
    }


def test_documents_and_lists_at_other_places(web: str, scans: Path, tmp_path: Path) -> None:
    (scans / "list.txt").write_text(f"d.pdf\n{web}/box 2/p-1.png\ngone.png\n", encoding="utf-8")
    result, _, failed = sort(web, tmp_path, named=Path(f"{web}/list.txt"))
    assert [(row["FILE"], row["PAGE"]) for row in read_table(result)] == [
        *(("d", "1"), ("d", "2"), ("p", "1"))
    ]
    (row,) = read_table(failed)
    assert (row["PATH"], row["REASON"]) == ("gone.png", "the file is no longer there")


def test_pages_are_sorted_into_folders_here(memory: str, tmp_path: Path) -> None:
    sort(memory, tmp_path / "t", sort_to=tmp_path / "sorted", link="hard")
    assert len(list((tmp_path / "sorted").rglob("*.png"))) == 9


def test_a_run_goes_on_at_another_place(memory: str, tmp_path: Path) -> None:
    sort(memory, tmp_path)
    data = io.BytesIO()
    Image.new("L", (9, 9)).save(data, "PNG")
    fsspec.filesystem("memory").pipe("/pile/torn.png", data.getvalue())
    try:
        (result, *others) = sort(memory, tmp_path, resume=True)
        assert len(read_table(result)) == 10 and len(others) == 1
    finally:
        fsspec.filesystem("memory").pipe("/pile/torn.png", b"no picture")


def test_links_that_lead_elsewhere_are_left_alone(web: str) -> None:
    with pytest.raises(StopIteration):
        next(remote.list_pages(Path(f"{web}/links"), ("png",), True, remote.PassedOver()))


def read(path: str) -> Page | Failure:
    with PageLoader(Preprocessing(resize=(8, 8)), workers=1) as loader:
        return loader.page(PageRef(0, Path(path)))


def test_files_without_end_and_silent_places_fail(
    web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "LARGEST_FILE", 1 << 20)
    monkeypatch.setattr(remote, "READ_S", 0.5)
    remote._system.cache_clear()
    fsspec.filesystem("http").clear_instance_cache()
    try:
        endless, silent = read(f"{web}/endless.png"), read(f"{web}/silent.png")
    finally:
        remote._system.cache_clear()
        fsspec.filesystem("http").clear_instance_cache()
    assert isinstance(endless, Failure) and "1 MiB" in endless.reason
    assert isinstance(silent, Failure) and "not answered" in silent.reason
    nobody = read("http://127.0.0.1:9/p.png")
    assert isinstance(nobody, Failure) and "cannot be fetched" in nobody.reason


def test_archives_at_other_places_are_not_fetched(web: str) -> None:
    Handler.asked.clear()
    with pytest.raises(PageUnreadableError, match="copy it here"):
        open_page_file(Path(f"{web}/box.zip"))
    assert not Handler.asked


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot read s3:/b/a b.png: no", "cannot read s3://b/a b.png: no"),
        ("https://me:secret@host/x?sig=abc done", "https://…@host/x?… done"),
        ("https:/host/x?X-Amz-Signature=abc", "https://host/x?…"),
        ("nothing of it: 3/4, C:/scans", "nothing of it: 3/4, C:/scans"),
    ],
)
def test_messages_show_addresses_without_secrets(text: str, shown: str) -> None:
    assert readable(text) == shown


def test_addresses_stay_what_they_are_as_paths() -> None:
    path = Path("s3://bucket/a")
    assert is_remote(path) and not is_remote("scans/s3") and not is_remote(Path("C:/x"))
    assert address_of(path / "b ř.png") == "s3://bucket/a/b ř.png"
    assert address_of(absolute(path / "../../../etc")) == "s3://bucket/etc"
    assert addresses.read_path("file:///a%20b/c") == Path("/a b/c")
    assert has_secret(Path("https://a@host/x")) and not has_secret(path)


def call(*words: str) -> tuple[int, str, str]:
    """Exit status and messages of a command that is refused before a model is opened."""
    heard = io.StringIO()
    with contextlib.redirect_stderr(heard):
        return run.main(list(words)), "", heard.getvalue()


@pytest.mark.usefixtures("workplace")
def test_places_with_secrets_are_refused_as_folders(web: str) -> None:
    secret = web.replace("http://", "http://me:hunter2@")
    result = call("-d", secret)
    assert "password or a query" in error_line(result)
    assert "hunter2" not in result[2]


@pytest.mark.usefixtures("workplace")
def test_what_needs_pages_here_is_refused() -> None:
    line = error_line(call("-d", "s3://bucket/x", "--group"), 2)
    assert "--group works on folders of this machine only: s3://bucket/x" in line


@pytest.mark.usefixtures("workplace")
def test_a_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    line = error_line(call("-d", "adl://bucket/x"))
    assert "a package is missing" in line and "requirements-remote.txt" in line

    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(optional.importlib, "import_module", missing)
    remote._system.cache_clear()
    with pytest.raises(PageSortError, match=r"fsspec.*requirements-remote.txt"):
        remote.fetch(Path("memory://x/y.png"))
    remote._system.cache_clear()
