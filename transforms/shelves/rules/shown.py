"""What was shown lately on the same shelf stays away from it for a while.

Shown is what impressions show; of a listener of whom there are none in these days, what was placed.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from transforms.shelves.rules.reads import Facts
from transforms.shelves.rules.registry import Parameters, rule


class CoolDown(Parameters):
    """How long."""

    days: int = Field(28, ge=1, le=365, description="days a recording shown on this shelf stays away from it")


@rule("cool_down", "shown on this shelf lately", CoolDown, of_shelf=True)
def cool_down(facts: Facts, parameters: CoolDown, shelf_id: str) -> np.ndarray:
    """Decided by recording; what was placed counts on nights before this one."""
    return facts.shown(shelf_id, parameters.days)
