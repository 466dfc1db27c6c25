"""Faults that somebody might make, one at a time: the simulation has to find them.

Invariant: each is one small change to the product's own code, made at run time and taken back.
"""

from tests.simulation.faults import awaited, callbacks, feeds, relays, submissions, waits
from tests.simulation.faults.planting import FAULTS

__all__ = ["FAULTS", "awaited", "callbacks", "feeds", "relays", "submissions", "waits"]
