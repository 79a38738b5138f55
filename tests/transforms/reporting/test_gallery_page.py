"""The gallery in headless Chromium, opened as a file: two thousand listeners, keyboard, axe, a phone's width, light and dark."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.transforms.reporting.test_gallery import DAY, SCHEMA, item, rows, shelf
from transforms.gates.check import Check
from transforms.reporting.gallery import GalleryFacts, named_tracks
from transforms.reporting.gallery_page import site
from transforms.reporting.trends import Point, trends
from transforms.reporting.verdict import EmptyShelf, verdict

LISTENERS, SHELVES, ITEMS = 2000, 20, 30
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: `make browser` installs one")


def facts() -> GalleryFacts:
    """Two thousand listeners with twenty shelves of thirty tracks each, two nights; a tenth of what stood there is new."""
    tracks = [f"t{n}" for n in range(3000)]
    base = rows(
        *(
            shelf(
                "x",
                f"shelf-{k:02}",
                [
                    item(
                        n + 1,
                        tracks[(37 * k + n) % 3000],
                        reason="because_you_played",
                        reason_ref=tracks[k],
                        source="als",
                    )
                    if n % 5
                    else item(n + 1, tracks[(41 * k + n) % 3000], propensity=0.05, explored=True)
                    for n in range(ITEMS)
                ],
                title=f"Shelf {k}",
                home_position=k + 1,
            )
            for k in range(SHELVES)
        )
    )
    ids = pl.DataFrame({"listener_id": [f"zq-person-{n:04}@example.org" for n in range(LISTENERS)]})
    every = ids.join(base.drop("listener_id"), how="cross").select(base.columns)
    earlier = every.filter(pl.col("shelf_id") != "shelf-03").select(
        "listener_id", "shelf_id", pl.col("items").list.tail(27)
    )
    removed = ids.select("listener_id", shelf_id=pl.lit("shelf-00"), rule=pl.lit("unheard"), removed=12).with_columns(
        tracks=pl.lit(["t5"])
    )
    people = ids.with_columns(
        market=pl.Series(["SE", "DE", None, "NO"] * (LISTENERS // 4)),
        tracks=pl.Series([0, 7, 80, 300] * (LISTENERS // 4), dtype=pl.Int32),
        suspect=pl.lit(False),
    )
    wanted = named_tracks(base, earlier.head(1), removed.head(1))
    titles = pl.DataFrame({"track_id": wanted}).with_columns(
        title=pl.format("Song <{}> & more", "track_id"), artists=pl.lit("Somebody")
    )
    assert dict(every.schema) == {name: SCHEMA[name] for name in every.columns}
    return GalleryFacts(DAY, DAY - timedelta(1), every, earlier, removed, people, titles, LISTENERS)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reports") / "gallery"
    folder.mkdir()
    much = EmptyShelf("rediscover", "Rediscover", 100, 20, "left alone too short")
    said = verdict([Check("volume", "PASS"), Check("overlap", "SKIP")], [], [much])
    points = [Point(date(2026, 1, n), {"fill": 0.5 + n / 100, "quality": n / 100}) for n in (1, 2, 3, 5)]
    for name, text in site(facts(), said, trends(points), warehouse="./warehouse"):
        (folder / name).write_text(text)
    (folder.parent / "report.html").write_text("<!doctype html><title>report</title>")
    return folder


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Any, gallery: Path) -> Iterator[Any]:
    """The gallery, opened as a file, with what it asked for and what went wrong in it."""
    context = chromium.new_context()
    opened = context.new_page()
    opened.asked, opened.wrong = [], []
    opened.on("request", lambda request: opened.asked.append(request.url))
    opened.on("pageerror", lambda error: opened.wrong.append(str(error)))
    opened.on("console", lambda message: opened.wrong.append(message.text) if message.type == "error" else None)
    opened.goto((gallery / "index.html").as_uri())
    opened.wait_for_selector("#stage[data-ready]")
    yield opened
    assert opened.wrong == []
    context.close()


def chosen(page: Any) -> str:
    return str(page.inner_text("#who"))


def test_two_thousand_listeners_load_from_a_disk_and_a_choice_does_little(chromium: Any, gallery: Path) -> None:
    """Seconds of the page's own thread, which other work on the machine does not lengthen."""
    opened = chromium.new_context().new_page()
    session = opened.context.new_cdp_session(opened)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def busy() -> float:
        return float({m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}["TaskDuration"])

    opened.goto((gallery / "index.html").as_uri())
    opened.wait_for_selector("#stage[data-ready]")
    loaded = busy()
    opened.fill("#search", "person-1234")
    opened.press("#search", "Enter")
    opened.wait_for_function("document.getElementById('who').textContent.includes('person-1234')")
    assert opened.locator("#stage section").count() == SHELVES
    # seconds of the page's own thread on a shared machine: far beyond what it needs, so that only a page that hangs fails
    assert 0 < loaded < 30 and busy() - loaded < 30, (loaded, busy() - loaded)
    opened.context.close()


def test_a_listener_is_found_by_search_segment_and_chance(page: Any) -> None:
    page.fill("#search", "PERSON-0007")
    assert page.locator("#found button").count() == 1 and "1 listener fits" in page.inner_text("#count")
    page.click("#found button")
    page.wait_for_function("document.getElementById('who').textContent.includes('person-0007')")
    assert "20 of 20 shelves are their own" in chosen(page)
    page.fill("#search", "")
    page.select_option("#segment", label="50 to 199 tracks")
    assert "500 listeners fit" in page.inner_text("#count") and page.locator("#found button").count() == 40
    page.click("#another")
    page.wait_for_function("document.getElementById('who').textContent.includes('50 to 199 tracks')")
    page.select_option("#market", label="SE")
    assert "0 listeners fit" in page.inner_text("#count"), "all listeners of that segment have no market"


def test_shelves_stand_as_a_person_sees_them_beside_yesterdays_with_draws_and_what_was_kept_off(page: Any) -> None:
    first = page.locator("#stage section").first
    assert first.locator("h3").inner_text() == "Shelf 0" and first.locator("ol.tracks li").count() == ITEMS
    words = first.inner_text()
    assert "Song <t1> & more · Somebody" in words and "because you played Song <t0> & more · Somebody" in words
    assert "drawn" not in words and "als" not in words
    page.check("#details")
    assert "drawn, p 0.05" in first.inner_text() and "als" in first.inner_text()
    first.locator("summary").click()
    assert "unheard: 12 tracks, such as Song <t5> & more · Somebody" in first.inner_text()
    page.check("#beside")
    assert first.locator("ol.before li").count() == 27 and first.inner_text().count("new") == 3
    assert "The shelf did not stand." in page.locator("#stage section").nth(3).inner_text()
    header = page.inner_text("header")
    assert "The night passed its checks: 1 of 1" in header and "Rediscover is empty for 20 of 100" in header
    assert page.locator("#trends").is_visible() and page.locator("figure").count() == 2


def test_no_address_names_a_listener_and_nothing_is_loaded_from_elsewhere(page: Any, gallery: Path) -> None:
    page.fill("#search", "person-0042")
    page.press("#search", "Enter")
    page.wait_for_function("document.getElementById('who').textContent.includes('person-0042')")
    base = gallery.as_uri()
    assert all(url.startswith(base) for url in page.asked) and page.url.startswith(base)
    assert not any("zq" in url or "person" in url for url in [*page.asked, page.url, page.title()])
    assert len([url for url in page.asked if "part-" in url]) <= 2, "only who is looked at"


def test_it_is_worked_by_keyboard_alone(page: Any) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "search":
            break
    page.keyboard.type("person-0100")
    page.keyboard.press("Enter")
    page.wait_for_function("document.getElementById('who').textContent.includes('person-0100')")
    assert page.evaluate("document.activeElement.id") == "shelves", "what was chosen is read next"
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert page.is_checked("#beside")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing_serious_and_nothing_is_wider_than_the_screen(
    page: Any, scheme: str, width: int, tmp_path: Path
) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 844})
    page.check("#details")
    page.check("#beside")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    (script,) = files("axe_playwright_python").glob("*.min.js")  # type: ignore[attr-defined]
    page.evaluate(Path(str(script)).read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    worst = [v for v in found["violations"] if v["impact"] in ("serious", "critical")]
    told = [(v["id"], v["nodes"][0]["html"][:200], v["nodes"][0].get("failureSummary")) for v in worst]
    assert told == []
    page.screenshot(path=str(tmp_path / "gallery.png"))
    assert (tmp_path / "gallery.png").stat().st_size > 10_000
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    dark = sum(map(int, re.findall(r"\d+", paper)[:3])) < 3 * 128
    assert dark is (scheme == "dark")
