"""The product in virtual time: hundreds of runs with every kind of fault, and faults planted to see that they are found."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from tests.simulation import awaited, callbacks, feeds, relays, submissions, waits
from tests.simulation.databases import Server
from tests.simulation.faults import FAULTS
from tests.simulation.machine import simulated
from tests.simulation.triggerers import connect
from tests.simulation.world import BrokenError

SEEDS = int(os.environ.get("VOD_TEST_SEEDS", "500"))
FIRST = int(os.environ.get("VOD_TEST_SEED", "0"))
ONLY = os.environ.get("VOD_TEST_ONLY", "")
CHUNK = 10
FAULT_SEEDS = 100
NOT_FOUND = {"a_refused_key_goes_unnoticed"}
"""Planted faults that the simulation does not find in so few seeds; `tests/unit` does."""

SCENARIOS: dict[str, tuple[Any, float]] = {
    "relays": (relays.Drill, 0.3),
    "awaited": (awaited.Drill, 0.05),
    "callbacks": (callbacks.Drill, 0.16),
    "submissions": (submissions.Drill, 0.3),
    "waits": (waits.Drill, 0.13),
    "feeds": (feeds.Drill, 0.06),
}
"""What is played, and its share of the seeds."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A database that the runs use one after the other."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # thousands of lines of outages that are none
    server = Server()
    with simulated() as change, warnings.catch_warnings():
        connect(change)
        warnings.simplefilter("ignore")  # of what a process that was killed leaves behind
        yield server
    server.database.close()
    logging.disable(level)


def _chunks() -> Iterator[tuple[str, int, int]]:
    for name, (_, share) in SCENARIOS.items():
        if ONLY in ("", name):
            end = FIRST + max(round(SEEDS * (1.0 if ONLY else share)), 1)
            yield from ((name, first, min(first + CHUNK, end)) for first in range(FIRST, end, CHUNK))


@pytest.mark.parametrize(("name", "first", "end"), list(_chunks()))
def test_every_invariant_holds(server: Server, name: str, first: int, end: int) -> None:
    """Whatever fails whenever: what the scenario's module promises holds at each step and at the end."""
    for seed in range(first, end):
        SCENARIOS[name][0](seed, server).run()


@pytest.mark.parametrize("name", SCENARIOS)
def test_one_seed_is_one_run(server: Server, name: str) -> None:
    """The same seed gives the same steps at the same times."""
    drill = SCENARIOS[name][0]
    runs = [(world.digest, world.steps, world.now) for world in (drill(7, server).run(), drill(7, server).run())]
    assert runs[0] == runs[1]
    assert drill(8, server).run().digest != runs[0][0]


def test_most_planted_faults_are_looked_for() -> None:
    """Of all that are planted one in twenty may go unnoticed, and that is named."""
    assert len(FAULTS) >= 20
    assert FAULTS.keys() >= NOT_FOUND
    assert len(NOT_FOUND) * 20 <= len(FAULTS)


@pytest.mark.parametrize("name", sorted(FAULTS.keys() - NOT_FOUND))
def test_planted_faults_are_found(server: Server, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in the code breaks an invariant within a hundred seeds."""
    scenario, plant = FAULTS[name]
    plant(monkeypatch.setattr)
    found = None
    for seed in range(FAULT_SEEDS):
        try:
            SCENARIOS[scenario][0](seed, server).run()
        except BrokenError:
            found = seed
            break
    print(f"{scenario} {name}: {'not found' if found is None else f'found by seed {found}'}")
    assert found is not None
