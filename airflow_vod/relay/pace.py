"""Says how many pulls of a queue are open at once, and when the next may start.

Invariant: a lone event meets an open pull. Only where events come one after the other does a pull wait, and then for
`FLOW_PAUSE` at most, so that it brings several; a backlog is pulled as fast as the API allows.
"""

from __future__ import annotations

from airflow_vod.tencent.client import PULL_LIMIT

MAX_DEPTH = 32  # pulls in flight; 22 keep the API's ceiling busy at a round trip of 200 ms
EMPTY_INTERVAL = 0.25  # seconds between pulls where VOD reports an empty queue without holding the pull
FLOW_GAP = 0.25  # seconds between two pulls that brought events, below which events flow
FLOW_PAUSE = 0.15  # seconds for which the next pull then waits at most: each call counts against the API's limit
FLOW_EVENTS = 10  # or until about so many have come
FLOW_RATE = 500.0  # events/s from which on every pull brings several without a pause


class Pace:
    """The pace of one relay's pulls. Times are monotonic seconds of the relay's clock.

    :param max_depth: most pulls in flight.
    """

    def __init__(self, max_depth: int = MAX_DEPTH) -> None:
        self.depth = 1
        """How many pulls are to be in flight."""
        self.backlog = False
        """Whether the latest pull was full: more is waiting."""
        self.caught_up = False
        """Whether the latest pull was not."""
        self.flows = False
        """Whether events come one after the other, but no backlog of them."""
        self.due = float("-inf")
        """When the next pull may start."""
        self._max_depth = max_depth
        self._pulled_last = float("-inf")  # when a pull brought events

    def answered(self, pulled: int, started: float, now: float) -> None:
        """Take down a pull: a full one says that more is waiting; an empty one, after its long poll, that one poll is enough.

        :param pulled: events that it brought.
        :param started: when it was sent.
        :param now: when its answer came.
        """
        self.backlog = pulled >= PULL_LIMIT
        self.caught_up = not self.backlog
        if not pulled:
            self.depth = 1
            self.due = max(self.due, started + EMPTY_INTERVAL)
            return
        self.depth = min(self.depth * 2, self._max_depth) if self.backlog else max(self.depth - 1, 1)
        gap, self._pulled_last = now - self._pulled_last, now
        self.flows = not self.backlog and gap < FLOW_GAP
        pauses = self.flows and pulled < FLOW_RATE * gap
        self.due = now + min(FLOW_PAUSE, FLOW_EVENTS * gap / pulled) if pauses else float("-inf")

    def failed(self) -> None:
        """Take down a pull that failed."""
        self.depth = max(1, self.depth // 2)

    def slow_down(self) -> None:
        """Go on with one pull at a time: what was pulled cannot be committed."""
        self.depth = 1

    def rest(self, until: float) -> None:
        """Start no pull until then."""
        self.due = until
