"""What a relay says of itself in the info of its lease, and whether it is healthy by that.

Invariant: keys of that record are written and read here alone, and health is judged here alone, so that all readers agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_vod.inbox.records import Lease

SILENCE = 120.0  # seconds for which a waiter may wait, and pulls stay unanswered, before somebody should look
_FAILURE_LENGTH = 200  # characters


@dataclass(slots=True)
class RelaySummary:
    """What a relay has done so far, in events unless noted otherwise.

    :param pulls: calls of PullEvents that were answered.
    :param unparsed: stored although they cannot be read.
    :param left: in the inbox but not confirmed: nobody waits for them and the policy is ``awaited``, or they have no handle.
    :param refused: rejected by the database; they stay in the queue.
    :param let_go: not committed in time; they come back.
    :param confirm_failures: refused or too late; these events come back and are recognised.
    :param pull_failures: calls of PullEvents that failed.
    """

    pulls: int = 0
    pulled: int = 0
    stored: int = 0
    duplicates: int = 0
    unparsed: int = 0
    confirmed: int = 0
    left: int = 0
    refused: int = 0
    let_go: int = 0
    confirm_failures: int = 0
    pull_failures: int = 0

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in asdict(self).items())


@dataclass(slots=True)
class RelayHealth:
    """The state of a relay, for the people who run it. All times are Unix seconds, None for never.

    :param last_pull_at: when VOD last answered a pull of the queue, to this relay or to one before it.
    :param caught_up_at: when a pull last left nothing behind in the queue.
    :param in_queue: events in the queue; VOD's own count unless it is 0. None where it is not known.
    :param in_queue_at: when that was so.
    :param failing_since_at: since when pulls have failed; None while they succeed.
    :param failure: why the latest pull failed; empty while pulls succeed.
    :param by_callback: whether the queue is not pulled because VOD delivers the events by callback.
    :param summary: what the relay has done.
    :param pulls_refused: whether the latest pull was refused for a reason that waiting does not mend.
    :param rivals: that something else pulls the queue outside this inbox; empty where nothing was seen of it.
    :param rivals_until_at: until when that is worth saying.
    """

    last_pull_at: float | None = None
    caught_up_at: float | None = None
    in_queue: int | None = None
    in_queue_at: float | None = None
    failing_since_at: float | None = None
    failure: str = ""
    by_callback: bool = False
    summary: RelaySummary = field(default_factory=RelaySummary)
    pulls_refused: bool = False
    rivals: str = ""
    rivals_until_at: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the record as small, flat JSON."""
        record = asdict(self)
        return record | {"failure": self.failure[:_FAILURE_LENGTH]} | record.pop("summary")

    @classmethod
    def from_dict(cls, info: Mapping[str, Any]) -> RelayHealth:
        """Read a record, also one that another version of this package wrote.

        :param info: of a lease; keys that are missing or have another type get their default.
        """
        known = {"failing_since_at": info.get("failing_since"), **info}  # the key of earlier versions
        times = ("last_pull_at", "caught_up_at", "in_queue_at", "failing_since_at", "rivals_until_at")
        counts = {name: int(_number(known.get(name)) or 0) for name in asdict(RelaySummary())}
        in_queue = _number(known.get("in_queue"))
        return cls(
            **{name: _number(known.get(name)) for name in times},
            in_queue=None if in_queue is None else int(in_queue),
            failure=str(known.get("failure") or ""),
            by_callback=known.get("by_callback") is True,
            summary=RelaySummary(**counts),
            pulls_refused=known.get("pulls_refused") is True,
            rivals=str(known.get("rivals") or ""),
        )


def trouble_of(lease: Lease | None, longest_wait: float, now: float, *, by_callback: bool | None = None) -> str | None:
    """Judge whether events come to this inbox: whoever holds the lease, and whether anybody does.

    It is trouble when somebody waits, or a relay tries, while VOD answers no pulls; and when something else pulls the queue.

    :param lease: of the queue, as it is read from the inbox; None where nobody has ever held it.
    :param longest_wait: seconds for which the longest waiter of this queue has waited; 0 where nobody waits.
    :param now: Unix seconds.
    :param by_callback: whether VOD delivers the events by callback and this installation receives those; None where the
        caller has not asked VOD: then the word of a relay that holds the lease counts.
    :return: one sentence about what is wrong; None where the relay is healthy.
    """
    health, held = RelayHealth.from_dict(lease.info if lease else {}), lease is not None and not lease.expired
    if by_callback is None:
        by_callback = health.by_callback and held
    if by_callback:
        return None
    rivals = health.rivals if now < (health.rivals_until_at or 0.0) else None
    return _silence_of(health, held, longest_wait, now) or rivals


def _silence_of(health: RelayHealth, held: bool, longest_wait: float, now: float) -> str | None:
    """Say that VOD answers no pulls, and since when."""
    silent_for, failing_for = now - (health.last_pull_at or 0.0), now - (health.failing_since_at or now)
    if silent_for <= SILENCE:
        return None
    cause = _cause_of(health) or ("" if held else ", and nobody pulls the queue now")
    if longest_wait > SILENCE:
        last = (
            f"VOD last answered a pull {silent_for:.0f} s ago" if health.last_pull_at else "no pull was ever answered"
        )
        return f"Somebody has waited for {longest_wait:.0f} s, but {last}{cause}"
    return f"The queue cannot be pulled{cause}" if held and failing_for > SILENCE else None


def _cause_of(health: RelayHealth) -> str:
    """Say why the latest pulls failed, and since when they have; empty while they succeed."""
    if not health.failure:
        return ""
    since = f"pulls have failed since {utc(health.failing_since_at)}, " if health.failing_since_at else ""
    return f": {since}{health.failure}"


def utc(moment_at: float) -> str:
    """Write a moment for people, who compare it with their logs.

    :param moment_at: Unix seconds.
    """
    return datetime.fromtimestamp(moment_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _number(value: object) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
