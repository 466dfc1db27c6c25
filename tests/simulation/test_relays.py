"""Relays in virtual time: hundreds of runs with every kind of fault, and faults planted to see that they are found."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest

from tests.simulation.bugs import BUGS
from tests.simulation.databases import Server
from tests.simulation.relays import Drill
from tests.simulation.world import BrokenError

SEEDS = int(os.environ.get("VOD_TEST_SEEDS", "500"))
FIRST = int(os.environ.get("VOD_TEST_SEED", "0"))
CHUNK = 50
BUG_SEEDS = 100


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A database that the runs use one after the other."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # thousands of lines of outages that are none
    server = Server()
    yield server
    server.database.close()
    logging.disable(level)


@pytest.mark.parametrize("first", range(FIRST, FIRST + SEEDS, CHUNK))
def test_every_invariant_holds(server: Server, first: int) -> None:
    """Whatever fails whenever: nothing lost, nothing twice, nothing confirmed too early, no pull without lease, nothing left."""
    for seed in range(first, min(first + CHUNK, FIRST + SEEDS)):
        Drill(seed, server).run()


def test_one_seed_is_one_run(server: Server) -> None:
    """The same seed gives the same steps at the same times."""
    runs = [(world.digest, world.steps, world.now) for world in (Drill(7, server).run(), Drill(7, server).run())]
    assert runs[0] == runs[1]
    assert Drill(8, server).run().digest != runs[0][0]


@pytest.mark.parametrize("name", BUGS)
def test_planted_faults_are_found(server: Server, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in the code breaks an invariant within a hundred seeds."""
    BUGS[name](monkeypatch.setattr)
    found = None
    for seed in range(BUG_SEEDS):
        try:
            Drill(seed, server).run()
        except BrokenError:
            found = seed
            break
    print(f"{name}: {'not found' if found is None else f'found by seed {found}'}")
    assert found is not None
