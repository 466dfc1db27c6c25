"""Every behaviour of the emulator that can be chosen.

Invariant: what the vendor documents is the default; what the vendor leaves open is an option, its docstring says *Uncertain*,
and says what the default rests on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

DOCUMENTED_RATES: Mapping[str, int] = MappingProxyType({"DescribeEventsState": 20, "ModifyEventConfig": 20})
"""Requests per second where the action's page says another number than 100."""

_CHOICES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "rate_window": ("fixed", "sliding"),
        "empty": ("resource_not_found", "null", "list"),
        "bad_handle": ("partial", "all_or_nothing", "lenient"),
        "abandoned_pull": ("takes", "leaves"),
        "order": ("fifo", "random"),
        "mode": ("PULL", "PUSH"),
        "pull_in_push_mode": ("empty", "serve", "error"),
        "push_form": ("v3", "v2", "both"),
        "push_signature": ("body", "query", "headers"),
        "push_again": ("timeout", "failure"),
        "unknown_task": ("InvalidParameterValue.TaskId", "ResourceNotFound"),
    }
)
_NOT_NEGATIVE = (
    "hold",
    "visibility",
    "retention",
    "state_staleness",
    "task_lookback",
    "edit_seconds",
    "rtt",
    "push_pause",
)


@dataclass(frozen=True, slots=True)
class EditFailure:
    """How an ``EditMedia`` task ends when it does not succeed: still ``FINISH``, but with an error."""

    err_code: int = 70000
    """``ErrCode``: 40000 bad input, 60000 bad source, 70000 internal."""
    err_code_ext: str = "InternalError"
    """``ErrCodeExt``, such as ``SourceFileError.Download``."""
    message: str = "internal error"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorOptions:
    """How the emulator behaves. Times are in seconds.

    :raises ValueError: for a value that no option has.
    """

    hold: float = 5.0
    """How long PullEvents waits for an event (documented: at most 5 s)."""
    batch: int = 16
    """Events per pull (documented)."""
    visibility: float = 30.0
    """Time to confirm before an event comes back (documented)."""
    retention: float = 4 * 86400.0
    """How long an unconfirmed event is kept (documented: up to 4 days, then it "may be" purged)."""
    rate_limit: int | None = 100
    """Requests per second per action and account where `rate_limits` names none (documented); None lets everything
    through."""
    rate_limits: Mapping[str, int] = field(default_factory=lambda: DOCUMENTED_RATES)
    """Requests per second for single actions. DescribeEventConfig's page contradicts itself: 100 in the text, 20 in
    the header."""
    rate_window: Literal["fixed", "sliding"] = "fixed"
    """*Uncertain.* Requests are counted in windows of 1 s by arrival (rate-limit rules of API 3.0); that these
    stand still at whole seconds is a guess. ``sliding`` is stricter."""
    clock_skew: float | None = 300.0
    """How far a signature's time may be off (documented: 5 minutes); None accepts any."""
    clock_offset: float = 0.0
    """How far the server's wall clock is ahead of the machine's. Signatures are checked against the machine's time
    plus this, not against the emulator's clock, so that clients which sign with real time still work when a test
    turns the dial."""
    tokens: Mapping[str, str] = field(default_factory=dict)
    """Temporary credentials: SecretId to the token that must come along in ``X-TC-Token``."""
    empty: Literal["resource_not_found", "null", "list"] = "resource_not_found"
    """*Uncertain.* What an empty queue answers after the hold. The documents only say that ``EventSet`` may be null
    and that ``ResourceNotFound`` may occur; four independent programs in use meet the error ``ResourceNotFound``
    with the text ``no event``."""
    bad_handle: Literal["partial", "all_or_nothing", "lenient"] = "partial"
    """*Uncertain.* ConfirmEvents with an expired, unknown or used handle. Documented is only a "parameter error
    (4000)", a code of the older API. ``partial``: InvalidParameterValue, but the good handles of the call are
    confirmed (as CMQ does); ``all_or_nothing``: InvalidParameterValue and nothing is confirmed; ``lenient``:
    success."""
    older_handles_stay_good: bool = False
    """*Uncertain.* Whether an earlier handle still confirms after a redelivery. The default is CMQ's rule: only the
    newest one."""
    abandoned_pull: Literal["takes", "leaves"] = "takes"
    """*Uncertain.* What a held pull does whose client has gone: ``takes`` the next batch all the same, which is
    then hidden for the visibility timeout (nothing in HTTP tells a server in time), or ``leaves`` it to others."""
    order: Literal["fifo", "random"] = "fifo"
    """*Uncertain.* The order of delivery: the documents promise none. ``fifo``: by time of publication or return."""
    seed: int = 0
    """Of everything random but the faults."""
    state_staleness: float = 180.0
    """*Uncertain.* How old the number of DescribeEventsState may be. The newest text says about 3 minutes, older
    ones 5 s."""
    null_fields: bool = True
    """*Uncertain.* Whether the payload fields that do not apply are served as null. The schema says that the older
    ones are always present; samples show both. Extra keys of a published event are served as they are."""
    mode: Literal["PULL", "PUSH"] = "PULL"
    """``Mode`` of an application until ModifyEventConfig changes it. (The vendor's console starts with PUSH.)"""
    pull_in_push_mode: Literal["empty", "serve", "error"] = "empty"
    """*Uncertain.* What PullEvents does in PUSH mode: ``empty`` as if nothing ever came, ``serve`` what the queue
    held at the switch, or ``error`` FailedOperation. The default rests on the modes being exclusive."""
    notification_url: str = ""
    """``NotificationUrl`` of an application until ModifyEventConfig changes it: where callbacks go in PUSH mode."""
    sign_key: str = ""
    """``SignKey`` of an application until ModifyEventConfig changes it; empty: callbacks are not signed."""
    push_form: Literal["v3", "v2", "both"] = "v3"
    """The form of callbacks: 3.0, the legacy 2.0 of accounts from before 2019, or both (documented: with two URLs;
    here both go to one)."""
    push_signature: Literal["body", "query", "headers"] = "body"
    """*Uncertain.* Where ``Sign`` and ``T`` stand: the documents only say "in the notification". The default is what
    other products of the vendor do."""
    push_timeout: float = 5.0
    """Seconds after which a callback that was not answered counts as lost (documented)."""
    push_tries: int = 3
    """How often a callback is made (documented for form 2.0)."""
    push_again: Literal["timeout", "failure"] = "timeout"
    """*Uncertain.* What makes a callback come again: only a timeout (documented for form 2.0, where status and body
    of the answer are ignored), or any answer but 200 too. The documents of form 3.0 are silent."""
    push_pause: float = 1.0
    """*Uncertain.* Seconds between two tries: not documented."""
    unknown_sub_app: str | None = None
    """*Uncertain.* Error code for a SubAppId that does not exist. None: ``InvalidParameterValue.SubAppId`` where
    the action lists it (DescribeTaskDetail, EditMedia), else ``FailedOperation.InvalidVodUser``, which users saw
    for applications not yet ready."""
    unknown_task: Literal["InvalidParameterValue.TaskId", "ResourceNotFound"] = "InvalidParameterValue.TaskId"
    """*Uncertain.* DescribeTaskDetail for an unknown task, or one older than `task_lookback`. Both codes are
    listed; the first one is described as "task ID does not exist"."""
    task_lookback: float = 3 * 86400.0
    """How long DescribeTaskDetail knows a task (documented: 3 days)."""
    edit_seconds: float = 2.0
    """How long an EditMedia task takes."""
    edit_failure: EditFailure | None = None
    """How EditMedia tasks fail; None lets them succeed."""
    unauthorized_actions: frozenset[str] = frozenset()
    """Actions that every account lacks the permission for (UnauthorizedOperation)."""
    invalid_vod_user: bool = False
    """Whether the account has not opened the VOD service (FailedOperation.InvalidVodUser for every action)."""
    rtt: float = 0.0
    """A simulated round trip: half of it passes before the request is looked at, half before the answer leaves.
    It passes on the emulator's clock."""
    calls_kept: int = 10_000
    """How many calls the log keeps; the counters count all."""

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")
        for name in _NOT_NEGATIVE:
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)!r}")
        if self.push_tries < 1 or self.push_timeout <= 0:
            raise ValueError("push_tries must be at least 1, and push_timeout more than 0")
        if self.batch < 1:
            raise ValueError(f"batch must be at least 1, got {self.batch!r}")
