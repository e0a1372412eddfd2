"""The homeowner's page in a real browser: what a person sees, in good times and in bad ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Protocol

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

MINUTE_MS = 60_000
PHONE = {"width": 360, "height": 780}
DASH = "\N{EN DASH}"
LARGE_TEXT = 3.0
TEXT = 4.5


class Hub(Protocol):
    """What these tests use of the fixture hub (conftest)."""

    answers: dict[str, Any]
    asked: list[str]

    @property
    def url(self) -> str: ...
    @property
    def now(self) -> dict[str, Any]: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...


@pytest.fixture
def calm_page(page: Page) -> Iterator[Page]:
    """A page on which any error in the console fails the test."""
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    # a 404 is how the hub says "nothing yet"; the browser reports it, the page copes
    assert [text for text in complaints if "404" not in text] == []


def text_of(locator: Locator) -> str:
    """Text with ordinary spaces."""
    return re.sub(r"\s+", " ", locator.inner_text().replace("\u00a0", " "))


def opened(page: Page, hub: Hub) -> Page:
    """The page after its first live values."""
    page.goto(hub.url)
    expect(page.get_by_test_id("flow-house")).to_be_visible()
    return page


def svg_text(page: Page, test_id: str) -> str:
    """All words of one spot of the flow picture."""
    return " ".join(page.get_by_test_id(test_id).locator("text").all_text_contents()).replace("\u00a0", " ")


class TestGoodDay:
    def test_the_flow_picture_tells_power_and_direction_of_every_part(self, calm_page: Page, hub: Hub) -> None:
        opened(calm_page, hub)
        expect(calm_page.get_by_test_id("flow-pv")).to_contain_text("5.89")
        assert svg_text(calm_page, "flow-pv") == "5.89 kW Sun producing"
        assert svg_text(calm_page, "flow-grid") == "0.31 kW Grid selling"
        assert svg_text(calm_page, "flow-battery") == "2.26 kW 73 % Battery charging"
        assert svg_text(calm_page, "flow-ev") == "2.03 kW Car charging"
        assert svg_text(calm_page, "flow-heat_pump") == "0.77 kW Heat pump running"
        assert svg_text(calm_page, "flow-house") == "0.52 kW House"
        for node, way in {"pv": "in", "grid": "out", "ev": "out"}.items():
            expect(calm_page.locator(f"[data-node={node}]")).to_have_attribute("data-way", way)

    def test_the_picture_is_described_in_words_for_those_who_do_not_see_it(self, calm_page: Page, hub: Hub) -> None:
        opened(calm_page, hub)
        expect(calm_page.get_by_role("img", name=re.compile("Sun: 5.89.kW producing"))).to_be_visible()
        expect(calm_page.get_by_role("img", name=re.compile("Grid: 0.31.kW selling"))).to_be_visible()

    def test_a_live_event_moves_the_numbers_and_turns_the_line(self, calm_page: Page, hub: Hub) -> None:
        opened(calm_page, hub)
        hub.now["flows"].update(grid_w=11_234, battery_w=1_500)
        expect(calm_page.get_by_test_id("flow-grid")).to_contain_text("11.2")
        expect(calm_page.get_by_test_id("flow-grid")).to_contain_text("buying")
        expect(calm_page.locator("[data-node=battery]")).to_have_attribute("data-way", "in")

    def test_time_is_that_of_the_home_and_not_of_the_browser(self, calm_page: Page, hub: Hub) -> None:
        opened(calm_page, hub)
        assert text_of(calm_page.locator(".clock")) == "Tue 5 Apr 13:10"

    def test_charts_are_drawn_and_the_now_line_stands_at_now(self, calm_page: Page, hub: Hub) -> None:
        opened(calm_page, hub)
        for name in ("price", "sun", "use", "soc"):
            canvas = calm_page.get_by_test_id(f"plot-{name}").locator("canvas")
            expect(canvas).to_be_visible()
            calm_page.wait_for_function(COLOURED_PIXELS_ARE_MANY, arg=name)
        plot = calm_page.get_by_test_id("plot-sun").bounding_box()
        line = calm_page.get_by_test_id("now-line").bounding_box()
        assert plot is not None
        assert line is not None
        share = (line["x"] - plot["x"] - 40) / (plot["width"] - 48)
        assert share == pytest.approx((13 + 10 / 60) / 48, abs=0.005)

    def test_the_plan_is_a_short_list_with_times_words_and_reasons(self, calm_page: Page, hub: Hub) -> None:
        opened(calm_page, hub)
        expect(calm_page.get_by_test_id("headline")).to_contain_text("The battery stores the surplus for 18:30-22:00.")
        listed = calm_page.get_by_test_id("plan-list")
        expect(listed).to_contain_text("Now until 15:30")
        words = text_of(listed)
        assert "Charge from the sun Stores the surplus for 18:30-22:00." in words
        # 22 slots of two modes with different prices are one line with their range
        evening = "Power the house from the battery Covers the house, grid power costs 22 to 28 ct."
        assert f"18:30{DASH}00:00 {evening}" in words
        assert listed.get_by_role("listitem").count() <= 8
        listed.get_by_role("button", name="Show all").click()
        assert listed.get_by_role("listitem").count() > 8

    def test_money_is_told_against_two_yardsticks_with_its_regret(self, calm_page: Page, hub: Hub) -> None:
        opened(calm_page, hub)
        today = calm_page.get_by_test_id("money-today")
        expect(today).to_contain_text("Earned 15")
        words = text_of(today)
        assert "77 ct less than without a battery" in words
        assert "6 ct less than the inverter's own self-consumption" in words
        assert re.search(r"Yesterday: Regret \d+ ct: that much more", text_of(calm_page.get_by_test_id("regret")))
        assert "24 % better than assuming that days repeat" in text_of(calm_page.get_by_test_id("skill"))

    def test_events_and_broken_wishes_are_in_plain_words(self, calm_page: Page, hub: Hub) -> None:
        hub.answers["/plan"]["broken_wishes"] = ["18:00-18:30: the house needs 1.2 kW more than the main fuse allows"]
        opened(calm_page, hub)
        expect(calm_page.get_by_test_id("events")).to_contain_text("Device unreachable: heat-pump")
        expect(calm_page.get_by_test_id("broken-wishes")).to_contain_text("more than the main fuse allows")

    def test_arrow_keys_read_the_charts(self, calm_page: Page, hub: Hub) -> None:
        opened(calm_page, hub)
        readout = calm_page.get_by_test_id("readout")
        expect(readout).to_contain_text("Now")
        calm_page.get_by_test_id("charts").focus()
        calm_page.keyboard.press("ArrowRight")
        expect(readout).to_contain_text("Today 13:30")
        for _ in range(12):
            calm_page.keyboard.press("PageDown")
        expect(readout).to_contain_text("Tomorrow 01:30")
        expect(readout).to_contain_text("Keep the charge")
        calm_page.keyboard.press("Escape")
        expect(readout).to_contain_text("Now")

    def test_everything_can_be_reached_with_the_tab_key(self, calm_page: Page, hub: Hub) -> None:
        opened(calm_page, hub)
        reached = set()
        for _ in range(14):
            calm_page.keyboard.press("Tab")
            reached.add(calm_page.evaluate("document.activeElement.ariaLabel || document.activeElement.textContent"))
        for name in ("Use dark colours", "Show all", "Yesterday", "Two days", "Charts of price", "Hour by hour"):
            assert any(name in one for one in reached), f"{name!r} not among {reached}"

    def test_the_chosen_theme_is_kept(self, calm_page: Page, hub: Hub) -> None:
        opened(calm_page, hub)
        assert calm_page.locator("html").get_attribute("data-theme") == "light"
        calm_page.get_by_role("button", name="Use dark colours").click()
        expect(calm_page.locator("html")).to_have_attribute("data-theme", "dark")
        calm_page.reload()
        expect(calm_page.locator("html")).to_have_attribute("data-theme", "dark")

    def test_nothing_is_fetched_from_anywhere_but_the_hub(self, calm_page: Page, hub: Hub) -> None:
        asked: list[str] = []
        calm_page.on("request", lambda request: asked.append(request.url))
        opened(calm_page, hub)
        assert asked
        assert [url for url in asked if not url.startswith(hub.url)] == []

    def test_the_running_step_of_a_day_with_a_clock_change_is_named(self, calm_page: Page, hub: Hub) -> None:
        """On 30 October 2016 Berlin lived 02:30 twice; the page names the zone, so that nobody reads the wrong one."""
        hub.answers["clock"]["now_ms"] = hub.now["at_ms"] = 1_477_787_400_000  # 00:30 UTC = 02:30 CEST
        opened(calm_page, hub)
        expect(calm_page.locator(".clock")).to_contain_text("02:30 CEST")
        calm_page.locator(".as-table summary").click()
        hours = [text_of(cell) for cell in calm_page.locator(".hours tbody th").all()]
        assert len(hours) == 49  # 25 hours and 24
        assert [hour for hour in hours if "02:00" in hour][:2] == ["Sun 30 Oct 02:00 CEST", "Sun 30 Oct 02:00 CET"]


class TestBadDay:
    def test_a_missing_value_is_a_dash_with_its_age_and_never_zero(self, calm_page: Page, hub: Hub) -> None:
        hub.now["flows"].update(ev_w=None, house_w=None, load_w=None)
        charger = next(device for device in hub.now["devices"] if device["kind"] == "ev_charger")
        charger.update(at_ms=hub.answers["clock"]["now_ms"] - 12 * MINUTE_MS, age_s=720)
        opened(calm_page, hub)
        expect(calm_page.get_by_test_id("flow-ev")).to_contain_text("none for 12 min")
        assert svg_text(calm_page, "flow-ev").startswith(DASH)
        assert svg_text(calm_page, "flow-house").startswith(DASH)
        assert "0" not in svg_text(calm_page, "flow-house")
        expect(calm_page.get_by_test_id("device-charger")).to_contain_text("silent for 12 min")

    def test_a_lost_agent_is_said_clearly_and_stops_the_picture(self, calm_page: Page, hub: Hub) -> None:
        hub.now.update(state="lost", at_ms=hub.answers["clock"]["now_ms"] - 14 * MINUTE_MS)
        opened(calm_page, hub)
        banner = calm_page.get_by_test_id("agent-lost")
        expect(banner).to_contain_text("No contact with your home since 12:56 (14 min).")
        moving = calm_page.evaluate("document.getAnimations().filter(one => one.playState === 'running').length")
        assert moving == 0

    def test_a_hub_that_goes_away_is_said_and_the_page_comes_back_by_itself(self, page: Page, hub: Hub) -> None:
        opened(page, hub)
        expect(page.get_by_test_id("flow-pv")).to_contain_text("5.89")
        hub.stop()
        away = page.get_by_test_id("hub-away")
        expect(away).to_contain_text("The hub does not answer.")
        expect(page.get_by_test_id("flow-pv")).to_contain_text("5.89")  # the last known values stay
        hub.now["flows"]["pv_w"] = 4_321
        hub.start()
        expect(away).to_have_count(0)
        expect(page.get_by_test_id("flow-pv")).to_contain_text("4.32")

    def test_a_page_opened_before_its_hub_waits_for_it(self, page: Page, hub: Hub) -> None:
        page.route("**/api/**", lambda route: route.abort())
        page.goto(hub.url)
        expect(page.get_by_test_id("hub-away")).to_be_visible()
        page.unroute("**/api/**")
        expect(page.get_by_test_id("flow-pv")).to_contain_text("5.89")

    def test_the_first_minute_looks_deliberate(self, calm_page: Page, hub: Hub) -> None:
        nothing = dict.fromkeys(hub.now["flows"])
        hub.now.update(flows=nothing, soc_percent=None, stored_wh=None, mode="", reason="", plan_version=None)
        hub.now.update(import_eur_per_kwh=None, export_eur_per_kwh=None, devices=[], at_ms=None, state="unknown")
        for path in ("/plan", "/forecast", "/series"):
            hub.answers[path] = None
        hub.answers["/prices"].update(import_eur_per_kwh=[], export_eur_per_kwh=[])
        hub.answers["/savings"].update(days=[])
        hub.answers["/events"] = []
        hub.answers["/accuracy"] = dict.fromkeys(hub.answers["/accuracy"])
        opened(calm_page, hub)
        expect(calm_page.get_by_test_id("starting")).to_contain_text("The first plan is on its way")
        expect(calm_page.get_by_test_id("starting")).to_contain_text("Waiting for prices")
        expect(calm_page.get_by_test_id("plan-list")).to_contain_text("No plan yet.")
        expect(calm_page.get_by_test_id("row-price")).to_contain_text("No prices yet")
        expect(calm_page.get_by_test_id("events")).to_contain_text("All is well.")
        shown = text_of(calm_page.locator("body"))
        assert not re.search(r"NaN|undefined|null|Infinity|\[object", shown)
        assert svg_text(calm_page, "flow-grid").startswith(DASH)

    def test_no_home_yet_is_no_error(self, calm_page: Page, hub: Hub) -> None:
        homes, hub.answers["homes"] = hub.answers["homes"], []
        calm_page.goto(hub.url)
        expect(calm_page.get_by_text("No home has reported yet")).to_be_visible()
        hub.answers["homes"] = homes
        expect(calm_page.get_by_test_id("flow-pv")).to_contain_text("5.89")

    def test_a_plan_that_ran_out_is_said(self, calm_page: Page, hub: Hub) -> None:
        hub.answers["/plan"]["valid_until_ms"] = hub.answers["clock"]["now_ms"] - 70 * MINUTE_MS
        opened(calm_page, hub)
        expect(calm_page.get_by_text("The plan ended")).to_contain_text("12:00")

    def test_watching_without_control_is_said(self, calm_page: Page, hub: Hub) -> None:
        for device in hub.answers[""]["devices"]:
            device["controlled"] = False
        opened(calm_page, hub)
        expect(calm_page.get_by_test_id("watching-only")).to_contain_text("does not steer the battery yet")


class TestSetting:
    def test_a_fast_clock_is_marked_and_moves_the_page(self, calm_page: Page, hub: Hub) -> None:
        hub.answers["clock"]["speed"] = 60
        opened(calm_page, hub)
        expect(calm_page.get_by_test_id("demo-clock")).to_have_text("Demo clock 60\N{MULTIPLICATION SIGN}")
        expect(calm_page.locator(".clock")).to_contain_text("13:12")  # two minutes in two seconds

    def test_a_real_clock_has_no_mark(self, calm_page: Page, hub: Hub) -> None:
        opened(calm_page, hub)
        assert calm_page.get_by_test_id("demo-clock").count() == 0

    def test_several_homes_can_be_chosen(self, calm_page: Page, hub: Hub) -> None:
        hub.answers["homes"].append({"home": "attic", "name": "Attic", "state": "online", "timezone": "Europe/Paris"})
        opened(calm_page, hub)
        calm_page.get_by_role("combobox", name="Home").select_option("attic")
        expect(calm_page).to_have_url(re.compile("#home=attic$"))
        expect(calm_page.get_by_test_id("flow-pv")).to_contain_text("5.89")
        assert "/api/homes/attic/live" in hub.asked

    def test_a_home_without_battery_car_and_heat_pump_shows_none(self, calm_page: Page, hub: Hub) -> None:
        hub.answers[""].update(battery=None, devices=hub.answers[""]["devices"][:2])
        hub.now["flows"].update(battery_w=None, ev_w=None, heat_pump_w=None)
        opened(calm_page, hub)
        expect(calm_page.get_by_test_id("flow-grid")).to_be_visible()
        for part in ("flow-battery", "flow-ev", "flow-heat_pump", "tile-battery", "row-soc"):
            expect(calm_page.get_by_test_id(part)).to_have_count(0)

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_every_text_has_enough_contrast(self, context: BrowserContext, hub: Hub, scheme: str) -> None:
        page = context.new_page()
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        hub.answers["/plan"]["broken_wishes"] = ["18:00-18:30: the battery is below its lowest charge of 8 %"]
        hub.answers["clock"]["speed"] = 0
        opened(page, hub)
        expect(page.locator("html")).to_have_attribute("data-theme", scheme)
        expect(page.get_by_test_id("plan-list")).to_contain_text("Now until")
        measured = page.evaluate(CONTRASTS)
        assert len(measured) > 80
        poor = [one for one in measured if one["ratio"] < (LARGE_TEXT if one["large"] else TEXT)]
        assert poor == []

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_lines_stand_out_from_their_card(self, context: BrowserContext, hub: Hub, scheme: str) -> None:
        page = context.new_page()
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        opened(page, hub)
        ratios = page.evaluate(LINE_CONTRASTS)
        assert len(ratios) == 7
        assert {name: ratio for name, ratio in ratios.items() if ratio < LARGE_TEXT} == {}

    @pytest.mark.parametrize("state", ["good", "bad"])
    def test_a_phone_needs_no_sideways_scrolling(self, browser: Browser, hub: Hub, state: str) -> None:
        context = browser.new_context(viewport={"width": 360, "height": 780}, has_touch=True, is_mobile=True)
        page = context.new_page()
        if state == "bad":
            hub.now.update(state="lost", at_ms=hub.now["at_ms"] - 3 * 3_600_000)
            hub.now["flows"].update(pv_w=-1_234_567, grid_w=None)
            hub.answers["/savings"]["days"][-1].update(realised_eur=-1234.56, no_battery_eur=2345.67)
            hub.answers["/events"][0]["text"] = "x" * 120
            hub.answers["clock"]["speed"] = 0
        opened(page, hub)
        expect(page.get_by_test_id("plot-soc").locator("canvas")).to_be_visible()
        page.locator(".as-table summary").click()
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide == PHONE["width"], page.evaluate(WIDE_ELEMENTS)
        context.close()

    def test_a_finger_reads_the_charts_on_a_phone(self, browser: Browser, hub: Hub) -> None:
        context = browser.new_context(viewport={"width": 360, "height": 780}, has_touch=True, is_mobile=True)
        page = context.new_page()
        opened(page, hub)
        plot = page.get_by_test_id("plot-sun")
        plot.scroll_into_view_if_needed()
        plot.tap(position={"x": 290, "y": 50})
        expect(page.get_by_test_id("readout")).to_contain_text("Tomorrow")
        context.close()

    def test_those_who_want_no_motion_get_none(self, context: BrowserContext, hub: Hub) -> None:
        page = context.new_page()
        opened(page, hub)
        expect(page.locator(".line-dots").first).to_be_attached()
        assert page.evaluate("document.getAnimations().length") > 0
        page.emulate_media(reduced_motion="reduce")
        assert page.evaluate("document.getAnimations().length") == 0
        expect(page.locator(".arrow").first).to_be_attached()  # the direction is still told


# more than a few hundred strongly coloured pixels: lines are drawn, not only grid and background
COLOURED_PIXELS_ARE_MANY = """name => {
  const canvas = document.querySelector(`[data-testid=plot-${name}] canvas`);
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let count = 0;
  for (let i = 0; i < data.length; i += 4) {
    const [r, g, b, a] = data.slice(i, i + 4);
    if (a > 200 && Math.max(r, g, b) - Math.min(r, g, b) > 20) count += 1;
  }
  return count > 300;
}"""

_LUMINANCE = """
  const luminance = ([r, g, b]) => {
    const linear = [r, g, b].map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const ratio = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const channels = (text) => text.match(/[0-9.]+/g).map(Number);
"""

CONTRASTS = (
    """() => {"""
    + _LUMINANCE
    + """
  const background = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const [r, g, b, a = 1] = channels(getComputedStyle(one).backgroundColor);
      if (a === 1) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const element = walker.currentNode.parentElement;
    if (!text || !element.checkVisibility() || element.closest("script, noscript, .sr-only, .skip")) continue;
    const style = getComputedStyle(element);
    const colour = channels(element.namespaceURI.endsWith("svg") ? style.fill : style.color);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    found.push({ text: text.slice(0, 40), ratio: ratio(colour, background(element)), large });
  }
  return found;
}"""
)

LINE_CONTRASTS = (
    """() => {"""
    + _LUMINANCE
    + """
  const probe = document.body.appendChild(document.createElement("i"));
  const seen = (name) => {
    probe.style.color = `var(${name})`;
    return channels(getComputedStyle(probe).color);
  };
  const names = ["--pv", "--battery", "--grid", "--load", "--ev", "--heat_pump", "--sell"];
  const ratios = Object.fromEntries(names.map((name) => [name, ratio(seen(name), seen("--card"))]));
  probe.remove();
  return ratios;
}"""
)

WIDE_ELEMENTS = """() => [...document.querySelectorAll("body *")]
  .filter((one) => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest(".scroll"))
  .map((one) => `${one.tagName}.${one.className.baseVal ?? one.className}: ${one.textContent.slice(0, 40)}`)"""
