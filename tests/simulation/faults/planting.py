"""The list of planted faults.

Invariant: a fault belongs to the one scenario that is to find it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Set = Callable[[Any, str, Any], None]
Plant = Callable[[Set], None]
FAULTS: dict[str, tuple[str, Plant]] = {}
"""By name: the scenario, and what changes the product."""


def fault_of(scenario: str) -> Callable[[Plant], Plant]:
    """List a fault under the name of its function."""

    def add(plant: Plant) -> Plant:
        FAULTS[plant.__name__] = (scenario, plant)
        return plant

    return add
