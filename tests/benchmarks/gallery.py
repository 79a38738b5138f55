"""How long the gallery's pages take: two thousand listeners of a folder on disk, opened as a file in headless Chromium.

    .venv/bin/python -m tests.benchmarks.gallery --loads 40

The gallery is written as `nightshelf report` writes it: twenty shelves of thirty tracks for every listener, with the night
before beside them. `first` opens the page in a fresh browser context and ends when a listener's shelves stand there; `another`
looks a listener up and ends when theirs do. Milliseconds are the page's own clock from the start of the navigation, or from the
key that was pressed; `thread` counts only what the page's own thread worked, which other work on the machine does not lengthen.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from tests.transforms.reporting.test_gallery_page import CHROMIUM, LISTENERS, facts
from transforms.gates.check import Check
from transforms.reporting.gallery_page import site
from transforms.reporting.trends import Point, trends
from transforms.reporting.verdict import verdict

WHEN_READY = """
new MutationObserver((_, watch) => {
  if (document.querySelector('#stage[data-ready]')) { window.readyAt = performance.now(); watch.disconnect(); }
}).observe(document, { attributes: true, childList: true, subtree: true });
"""
LOOK_UP = """
async (id) => {
  const search = document.getElementById('search'), began = performance.now();
  search.value = id;
  search.dispatchEvent(new Event('input', { bubbles: true }));
  search.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }));
  while (!document.getElementById('who').textContent.includes(id)) await new Promise(requestAnimationFrame);
  return performance.now() - began;
}
"""


def write(folder: Path) -> int:
    """The gallery's files; returns their bytes."""
    points = [Point(date(2026, 1, n), {"fill": 0.5 + n / 100, "quality": n / 100}) for n in range(1, 29)]
    size = 0
    for name, text in site(facts(), verdict([Check("volume", "PASS")], [], []), trends(points), warehouse="warehouse"):
        size += (folder / name).write_text(text)
    return size


def busy(session: Any) -> float:
    """Milliseconds that the page's thread has worked."""
    found = session.send("Performance.getMetrics")["metrics"]
    return 1000 * float({m["name"]: m["value"] for m in found}["TaskDuration"])


def measure(page: Path, loads: int, seed: int = 0) -> dict[str, list[float]]:
    """Milliseconds of each load, by what was loaded."""
    from playwright.sync_api import sync_playwright

    chosen = np.random.default_rng(seed).choice(LISTENERS, loads, replace=False)
    out: dict[str, list[float]] = {"first": [], "first thread": [], "another": [], "another thread": []}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for number in chosen.tolist():
            context = browser.new_context()
            opened = context.new_page()
            session = context.new_cdp_session(opened)
            session.send("Performance.enable", {"timeDomain": "threadTicks"})
            opened.add_init_script(WHEN_READY)
            opened.goto(page.as_uri())
            opened.wait_for_function("window.readyAt > 0")
            out["first"].append(opened.evaluate("window.readyAt"))
            out["first thread"].append(busy(session))
            out["another"].append(opened.evaluate(LOOK_UP, f"zq-person-{number:04}"))
            out["another thread"].append(busy(session) - out["first thread"][-1])
            context.close()
        browser.close()
    return out


def main() -> None:
    """Print the median and the 95th percentile of each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--loads", type=int, default=40)
    given = parser.parse_args()
    if CHROMIUM is None:
        parser.exit(1, "expected Chromium on this machine, found none; `make browser` installs one\n")
    with tempfile.TemporaryDirectory() as folder:
        size = write(Path(folder))
        found = measure(Path(folder) / "index.html", given.loads)
        files = len(list(Path(folder).iterdir()))
    print(json.dumps({"listeners": LISTENERS, "loads": given.loads, "files": files, "mb": round(size / 1e6, 1)}))
    for name, ms in found.items():
        print(json.dumps({"what": name, "median_ms": round(np.median(ms)), "p95_ms": round(np.quantile(ms, 0.95))}))


if __name__ == "__main__":
    main()
