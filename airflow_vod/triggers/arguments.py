"""The arguments of triggers, which another version of this package or of Airflow may have stored.

Invariant: no constructor that a triggerer runs raises. Of what one raises, Airflow's triggerer survives only a `TypeError`;
anything else ends it, with all the triggers that it runs. So a triggerer is told of a mistake by the trigger, when that runs;
whoever writes a DAG, at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

_TYPE, _VALUE = "__type", "__var"


def is_made_by_a_triggerer() -> bool:
    """Say whether a trigger is being made out of what is stored: it is in an event loop only there."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def note_unknown(kind: type, arguments: Mapping[str, Any]) -> str:
    """Refuse arguments that a trigger does not have, or say so in words where a triggerer makes it.

    :param kind: the trigger's class.
    :param arguments: those that are left over.
    :return: what to log; empty where there are none.
    :raises TypeError: it is being made anywhere else.
    """
    if not arguments:
        return ""
    names = ", ".join(sorted(arguments))
    if not is_made_by_a_triggerer():
        raise TypeError(f"{kind.__name__} takes no {names}")
    return (
        f"This triggerer ignores {names} of a {kind.__name__}: another version of airflow-vod has stored it. "
        "Install the same version in every process of Airflow."
    )


def decoded(value: Any) -> Any:
    """Answer an argument itself where Airflow hands it over as it has stored it, as 3.0.2 does with those of asset watchers."""
    if isinstance(value, Mapping) and set(value) == {_TYPE, _VALUE}:
        return decoded(value[_VALUE])
    return value
