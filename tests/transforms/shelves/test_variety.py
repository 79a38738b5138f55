"""Caps: every credited artist counts, and nothing that fits is passed over."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from transforms.shelves.variety import Facts, Tray


def facts(*credits: list[int], recordings: list[int] | None = None) -> Facts:
    """Rows 0..n-1 with these artists."""
    bounds = [0]
    for artists in credits:
        bounds.append(bounds[-1] + len(artists))
    flat = [artist for artists in credits for artist in artists]
    return Facts(recordings or list(range(len(credits))), flat, bounds)


def test_a_collaboration_counts_for_each_of_its_artists() -> None:
    """Ann, then Ann & Bob (refused for Ann), then Bob (still free)."""
    assert Tray(facts([1], [1, 2], [2]), [0, 1, 2], set(), cap=1).fill(9) == [0, 2]


def test_without_a_cap_everything_fits() -> None:
    assert Tray(facts([1], [1], [1]), [0, 1, 2], set(), cap=None).fill(9) == [0, 1, 2]


def test_an_artist_credited_twice_on_a_track_counts_once() -> None:
    assert Tray(facts([1, 1], [1]), [0, 1], set(), cap=2).fill(9) == [0, 1]


def test_what_the_surface_holds_is_left_out_and_what_is_placed_is_added() -> None:
    taken = {0}
    assert Tray(facts([1], [2], recordings=[0, 5]), [0, 1], taken, cap=None).fill(9) == [1]
    assert taken == {0, 5}


def test_looking_ahead_places_nothing_and_filling_goes_on_behind_it() -> None:
    tray = Tray(facts([1], [2], [3], [4]), [0, 1, 2, 3], set(), cap=1)
    assert tray.fill(1) == [0]
    assert tray.best(2) == [1, 2]
    tray.place(2)
    assert tray.best(2) == [1, 3]
    assert tray.fill(9) == [1, 3]


@given(
    credits=st.lists(st.lists(st.integers(0, 6), max_size=3, unique=True), max_size=30),
    cap=st.integers(1, 3),
    number=st.integers(0, 30),
)
def test_the_walk_is_the_greedy_choice(credits: list[list[int]], cap: int, number: int) -> None:
    """The same as looking at the whole list again after every placement."""
    expected: list[int] = []
    while len(expected) < number:
        used = [artist for row in expected for artist in credits[row]]
        fits = [
            row
            for row in range(len(credits))
            if row not in expected and all(used.count(artist) < cap for artist in credits[row])
        ]
        if not fits:
            break
        expected.append(fits[0])
    assert Tray(facts(*credits), list(range(len(credits))), set(), cap).fill(number) == expected
