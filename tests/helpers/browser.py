"""A real browser that opens contact sheets from the disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")

Open = Callable[..., Any]  # the sheet's index.html → the browser's page, once its cards are there


def browser_program() -> str:
    """The path of a Chromium, or the reason to skip a test that needs one."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    return found


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A Chromium without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    program = browser_program()
    with playwright.sync_playwright() as driver:
        # Root, as in containers, gets no sandbox.
        chromium = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def open_sheet(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Open a sheet in a window whose memory outlives a reload; faults of scripts fail the test."""
    faults: list[str] = []
    context = browser.new_context(accept_downloads=True, viewport={"width": 1400, "height": 900})
    context.on("request", lambda request: faults.append(request.url) if "://" in request.url and not
               request.url.startswith(("file:", "blob:", "data:")) else None)  # fmt: skip

    def open_index(index: Path) -> Any:
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: dialog.accept())
        page.goto(index.as_uri())
        page.wait_for_selector(".card")
        return page

    yield open_index
    context.close()
    assert faults == []


def save(page: Any, folder: Path, button: str = "export") -> Path:
    """Press a button that saves a table; where that table is."""
    with page.expect_download() as started:
        page.click(f"#{button}")
    target = folder / str(started.value.suggested_filename)
    started.value.save_as(target)
    return target
