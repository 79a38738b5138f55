"""How the listeners of a live world behave: every number of `transforms.simulation.live` that is not of the log itself.

Chances are given on the logit scale where several things move them. z is how well a track truly fits a listener, in
standard deviations (see `transforms.simulation.listening`).

    >>> LiveSettings().item_depth
    8.0
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class LiveSettings(BaseModel, frozen=True, extra="forbid"):
    """Attention, taste, patience, fatigue and loyalty of the listeners of a live world."""

    comes: float = Field(default=0.4, description="logit of the chance that a session takes place, at satisfaction 0")
    loyalty: float = Field(default=1.2, ge=0, description="how much one unit of satisfaction adds to that logit")
    opens: dict[str, float] = Field(
        default={"home": 0.7, "now-playing": 0.3}, description="chance that a session opens a surface"
    )
    shelf_depth: float = Field(default=2.5, gt=0, description="mean number of shelves looked at beyond the first")
    leaves: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="chance that a shelf which was played from is the last that is looked at; 1 = a cascade",
    )
    logs: Literal["displayed", "page"] = Field(
        default="displayed",
        description="what the app logs as impressions of a visit: what was on the screen, or the whole page that it sent",
    )
    item_depth: float = Field(
        default=8.0, gt=0, description="mean number of items of a shelf displayed beyond the first"
    )
    position_bias: float = Field(
        default=0.35, ge=0, description="a displayed item at position p is seen with chance p^-position_bias"
    )
    patience: float = Field(default=25.0, gt=0, description="mean number of items seen before a visit ends")
    skip_cost: float = Field(default=4.0, ge=0, description="a skip costs as much patience as so many items seen")
    play: float = Field(default=-1.6, description="logit of the chance that a seen item is played, at z = 0")
    play_fit: float = Field(default=0.9, description="what z adds to it")
    play_catch: float = Field(default=0.5, description="what a track's catchiness adds to it")
    play_fatigue: float = Field(default=0.8, ge=0, description="what each recent exposure of the track takes from it")
    skip_catch: float = Field(default=0.4, description="what catchiness takes from the logit of a skip")
    skip_fatigue: float = Field(default=0.5, ge=0, description="what each recent exposure adds to the logit of a skip")
    fatigue_days: float = Field(default=5.0, gt=0, description="days in which an exposure's weight falls to 1/e")
    pleasure: float = Field(default=0.5, description="satisfaction of a completed play at z = 0")
    pleasure_fit: float = Field(default=0.3, description="what z adds to it")
    pleasure_lasting: float = Field(default=0.4, description="what a track's lasting worth adds to it, where it is new")
    annoyance: float = Field(default=0.5, ge=0, description="what a skip takes from satisfaction")
    boredom: float = Field(default=0.4, ge=0, description="what a visit in which nothing is played takes from it")
    memory: float = Field(
        default=0.85, ge=0, lt=1, description="share of satisfaction that the next visit leaves as it was"
    )
    adopts: float = Field(default=-1.2, description="logit of the chance that a new track played to its end is adopted")
    adopts_fit: float = Field(default=0.6, description="what z adds to it")
    adopts_lasting: float = Field(default=1.2, description="what the track's lasting worth adds to it")
    replay: float = Field(default=0.15, ge=0, le=1, description="chance that a session replays an adopted track")
    replay_days: float = Field(default=45.0, gt=0, description="days in which that chance falls to 1/e")
    catch_against_lasting: float = Field(
        default=-0.5, ge=-1, le=1, description="correlation of catchiness and lasting worth over tracks"
    )
    saves: float = Field(
        default=0.25, ge=0, le=1, description="chance of a save after a completed play, of a keen saver"
    )
    blocks: float = Field(default=0.02, ge=0, le=1, description="chance of a block after skipping a track of z < -0.3")
