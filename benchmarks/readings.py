"""What a measurement says.

Invariant: a reading holds everything that is needed to judge it: value, unit, baseline and target.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Target:
    """A limit that a value should keep.

    :param limit: in the unit of the reading.
    :param at_least: whether the value should reach the limit, rather than stay below it.
    """

    limit: float
    at_least: bool = False

    def met(self, value: float) -> bool:
        """Say whether a value keeps the limit."""
        return value >= self.limit if self.at_least else value <= self.limit


@dataclass(frozen=True, slots=True)
class Reading:
    """One line of the table.

    :param case: what was measured, and under which conditions.
    :param value: what came out.
    :param unit: of value, baseline and target; empty for a ratio or a number.
    :param baseline: the same of the baseline; None where a reading has none.
    :param against: what the baseline is.
    :param target: None for a reading that only informs.
    """

    case: str
    value: float
    unit: str
    baseline: float | None = None
    against: str = ""
    target: Target | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        return None if self.target is None else self.target.met(self.value)

    def to_dict(self) -> dict[str, Any]:
        """:return: JSON primitives."""
        return {**asdict(self), "met": self.met}
