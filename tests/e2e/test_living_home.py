"""The whole chain in a browser: a value from a simulated register is on the page, and so is a plan with its reason."""

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from rich.console import Console

from hearth_sim.demo.conductor import Home, open_home
from hearth_sim.demo.settings import DemoSettings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
MIDNIGHT_S = 1_460_325_600.0  # 2016-04-11T00:00 in Konstanz
AFTERNOON_S = MIDNIGHT_S + 14.5 * 3600
PICTURE = Path(__file__).parents[2] / "docs" / "dashboard.png"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home that has lived from midnight to half past two in the afternoon."""
    settings = DemoSettings(
        state=tmp_path_factory.mktemp("home"),
        start_s=MIDNIGHT_S,
        speed=720.0,
        days=1.0,
        headless=True,
        json_path=None,
        fresh=True,
        http_port=18_800,
        seed=1,
    )
    with open_home(settings) as home:
        home.start(Console(quiet=True))
        home.pace.go()
        while home.clock.time() < AFTERNOON_S:
            home.look()
            time.sleep(0.2)
        home.conductor.set_speed(30.0)
        yield home


@pytest.fixture
def living_page(home: Home, page: Page) -> Iterator[Page]:
    """The home's page, on which any error in the console fails the test."""
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(home.url)
    expect(page.get_by_test_id("flow-house")).to_be_visible()
    yield page
    assert [text for text in complaints if "404" not in text] == []


def test_the_page_lives_with_the_house(living_page: Page) -> None:
    """Within seconds of real time the numbers of the flow picture move, because the registers did."""
    picture = living_page.get_by_test_id("flow-house").locator("xpath=ancestor::*[local-name()='svg'][1]")
    expect(picture).to_contain_text(re.compile(r"\d"))
    before = picture.text_content()
    deadline = time.monotonic() + 20
    while picture.text_content() == before and time.monotonic() < deadline:
        time.sleep(0.2)
    assert picture.text_content() != before


def test_prices_forecast_and_a_plan_with_reasons_are_on_the_page(living_page: Page) -> None:
    body = living_page.locator("body")
    expect(body).to_contain_text("What is planned, and why")
    expect(body).to_contain_text(re.compile(r"Grid price now\s*\d+[.,]\d"))
    expect(living_page.locator("canvas").nth(3)).to_be_visible(timeout=30_000)
    expect(body).to_contain_text(re.compile(r"now\s+until\s+\d\d:\d\d", re.IGNORECASE))


def test_the_picture_of_the_readme(living_page: Page, tmp_path: Path) -> None:
    """Written into docs/ only when asked (make screenshot), so that a test run never changes the checkout."""
    living_page.wait_for_timeout(1500)
    picture = tmp_path / "dashboard.png"
    living_page.screenshot(path=str(picture), full_page=True)
    assert picture.stat().st_size > 50_000
    if os.environ.get("HEARTH_SCREENSHOT"):
        shutil.copy(picture, PICTURE)
