"""The gallery as a small static site: a page, its script, and the data it loads from beside it, all of them files.

    for name, text in site(facts, verdict, trends, warehouse="./warehouse"):     # index.html, gallery.js, tracks.js, ...
        (folder / name).write_text(text)

It is opened from a disk and loads nothing from elsewhere. Look and behaviour stand in `gallery.html`, `gallery.css` and
`gallery.js`, the data in `transforms.reporting.gallery`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from transforms.reporting.gallery import GalleryFacts, gallery_files
from transforms.reporting.page import environment, read
from transforms.reporting.trends import Trend
from transforms.reporting.verdict import Verdict


def site(
    facts: GalleryFacts, verdict: Verdict, trends: Sequence[Trend] = (), *, warehouse: str = ""
) -> Iterator[tuple[str, str]]:
    """(name, text) of every file of a gallery; the same for the same facts.

    Args:
        verdict: what stands at the top.
        trends: of the stored nights; none where there is one night.
        warehouse: whose night it is, for the page's foot.
    """
    page = environment().get_template("gallery.html")
    yield (
        "index.html",
        page.render(
            day=facts.day,
            before=facts.before,
            shown=facts.people.height,
            everybody=facts.everybody,
            verdict=verdict,
            trends=trends,
            warehouse=warehouse,
            style=read("style.css") + read("gallery.css"),
        ),
    )
    yield "gallery.js", read("gallery.js")
    yield from gallery_files(facts)
