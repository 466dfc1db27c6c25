"""The configurable behaviour of the emulator.

Invariant: defaults are what the vendor documents; what the vendor leaves open is an option marked *Uncertain*, with the reason
for its default.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

SECRET_ID = "AKIDexample"  # noqa: S105 - an example, valid only for this emulator
SECRET_KEY = "example-secret-key-of-the-emulator"  # noqa: S105 - also an example
DOCUMENTED_RATES: Mapping[str, int] = MappingProxyType(
    {"DescribeEventsState": 20, "ManageTask": 20, "ModifyEventConfig": 20}
)
"""Requests per second of actions whose page gives a limit other than 100."""

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
        "session_scope": ("application", "account"),
        "unknown_task": ("InvalidParameterValue.TaskId", "ResourceNotFound"),
    }
)
_NOT_NEGATIVE = (
    "hold",
    "visibility",
    "retention",
    "state_staleness",
    "task_lookback",
    "queue_seconds",
    "task_seconds",
    "listing_delay",
    "rtt",
    "push_pause",
)


@dataclass(frozen=True, slots=True)
class TaskFailure:
    """How a task fails: its status is ``FINISH`` as well, but with an error."""

    err_code: int = 70000
    """``ErrCode``: 40000 bad input, 60000 bad source, 70000 internal."""
    err_code_ext: str = "InternalError"
    """``ErrCodeExt``, such as ``SourceFileError.Download``; not all kinds of tasks have it."""
    message: str = "internal error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Procedure:
    """A task flow: which tasks it starts."""

    media_process_task: Mapping[str, Any] | None = field(
        default_factory=lambda: {"TranscodeTaskSet": [{"Definition": 100030}]}
    )
    """``MediaProcessTask``, as ProcessMedia has it; None or empty: no task of the type Procedure."""
    review: bool = False
    """Whether it starts a task of the type ReviewAudioVideo."""
    knowledge_imports: int = 0
    """How many tasks of the type ImportMediaKnowledge it starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorOptions:
    """How the emulator behaves. Durations are in seconds.

    :raises ValueError: for an invalid value.
    """

    hold: float = 5.0
    """How long PullEvents waits for an event (documented: at most 5 s)."""
    batch: int = 16
    """Maximum number of events per pull (documented)."""
    visibility: float = 30.0
    """Time to confirm an event before it is redelivered (documented)."""
    retention: float = 4 * 86400.0
    """How long an unconfirmed event is kept (documented: up to 4 days, then it "may be" purged)."""
    rate_limit: int | None = 100
    """Requests per second per action and account unless `rate_limits` sets another limit (documented); None disables
    rate limits."""
    rate_limits: Mapping[str, int] = field(default_factory=lambda: DOCUMENTED_RATES)
    """Requests per second of individual actions. DescribeEventConfig's page contradicts itself: 100 in the text, 20 in
    the header."""
    rate_window: Literal["fixed", "sliding"] = "fixed"
    """*Uncertain.* Requests are counted in windows of 1 s by arrival (rate-limit rules of API 3.0); that windows
    start at whole seconds is an assumption. ``sliding`` is stricter."""
    clock_skew: float | None = 300.0
    """How far a signature's timestamp may be off (documented: 5 minutes); None accepts any."""
    clock_offset: float = 0.0
    """How far the server's wall clock is ahead of the machine's. Signatures are verified with the machine's time plus
    this offset, not with the emulator's clock, so that clients which sign with real time still work when a test
    advances the clock."""
    tokens: Mapping[str, str] = field(default_factory=dict)
    """Temporary credentials: SecretId to the token required in ``X-TC-Token``."""
    empty: Literal["resource_not_found", "null", "list"] = "resource_not_found"
    """*Uncertain.* The answer of an empty queue after the hold. The documentation only says that ``EventSet`` may be
    null and that ``ResourceNotFound`` may occur; four independent programs in production use handle the error
    ``ResourceNotFound`` with the message ``no event``."""
    bad_handle: Literal["partial", "all_or_nothing", "lenient"] = "partial"
    """*Uncertain.* ConfirmEvents with an expired, unknown or used handle. The documentation only mentions a "parameter
    error (4000)", a code of the older API. ``partial``: InvalidParameterValue, but the valid handles of the call are
    confirmed (as CMQ does); ``all_or_nothing``: InvalidParameterValue and nothing is confirmed; ``lenient``:
    success."""
    older_handles_stay_valid: bool = False
    """*Uncertain.* Whether an earlier handle still confirms the event after a redelivery. The default is CMQ's rule:
    only the newest one does."""
    abandoned_pull: Literal["takes", "leaves"] = "takes"
    """*Uncertain.* What a held pull does after its client has disconnected: it ``takes`` the next batch regardless,
    which is then hidden for the visibility timeout (a server may not notice the disconnect in time), or ``leaves``
    it to other pulls."""
    order: Literal["fifo", "random"] = "fifo"
    """*Uncertain.* The order of delivery: the documentation promises none. ``fifo``: by time of publication or return."""
    seed: int = 0
    """Of all random numbers except those of faults."""
    state_staleness: float = 180.0
    """*Uncertain.* How stale the count of DescribeEventsState may be. The current documentation says about 3 minutes,
    older versions 5 s."""
    null_fields: bool = True
    """*Uncertain.* Whether payload fields that do not apply are served as null. The schema says that the older ones are
    always present; samples show both. Extra keys of a published event are served as they are."""
    mode: Literal["PULL", "PUSH"] = "PULL"
    """``Mode`` of an application until ModifyEventConfig changes it. (The vendor's console starts with PUSH.)"""
    pull_in_push_mode: Literal["empty", "serve", "error"] = "empty"
    """*Uncertain.* What PullEvents does in PUSH mode: ``empty`` answers as an empty queue does, ``serve`` delivers what
    was queued before the switch, ``error`` is FailedOperation. The default follows from the modes being exclusive."""
    event_switches: Literal["ON", "OFF"] = "OFF"
    """The switches of NewFileUpload, FileDeleted and PersistenceComplete until ModifyEventConfig changes them (documented:
    OFF). An event whose switch is OFF is not published."""
    notification_url: str = ""
    """``NotificationUrl`` of an application until ModifyEventConfig changes it: where callbacks go in PUSH mode."""
    sign_key: str = ""
    """``SignKey`` of an application until ModifyEventConfig changes it; without it, callbacks are not signed."""
    push_form: Literal["v3", "v2", "both"] = "v3"
    """The format of callbacks: 3.0, the legacy 2.0 of accounts created before 2019, or both (documented with two URLs;
    here both are posted to one). Format 2.0 is documented for nine types of events; of others it sends nothing."""
    push_signature: Literal["body", "query", "headers"] = "body"
    """*Uncertain.* Where ``Sign`` and ``T`` are placed: the documentation only says "in the notification". The default
    is what other products of the vendor do."""
    push_timeout: float = 5.0
    """Seconds to wait for the answer to a callback (documented)."""
    push_tries: int = 3
    """Maximum number of attempts per callback (documented for format 2.0)."""
    push_again: Literal["timeout", "failure"] = "timeout"
    """*Uncertain.* What makes a callback be retried: only a timeout (documented for format 2.0, where status and body of
    the answer are ignored), or also any answer other than 200. Not documented for format 3.0."""
    push_pause: float = 1.0
    """*Uncertain.* Seconds between two attempts: not documented."""
    unknown_sub_app: str | None = None
    """*Uncertain.* Error code for a SubAppId that does not exist. None: ``InvalidParameterValue.SubAppId`` where the
    action lists it (DescribeTaskDetail, EditMedia), otherwise ``FailedOperation.InvalidVodUser``, which users have
    reported for applications that are not ready yet."""
    unknown_task: Literal["InvalidParameterValue.TaskId", "ResourceNotFound"] = "InvalidParameterValue.TaskId"
    """*Uncertain.* Error code of DescribeTaskDetail for an unknown task, or one older than `task_lookback`. Both are
    listed; the first one is described as "task ID does not exist"."""
    task_lookback: float = 3 * 86400.0
    """How long after its submission DescribeTaskDetail returns a task (documented: 3 days)."""
    queue_seconds: float = 0.0
    """How long a started task is WAITING, during which it can be aborted."""
    task_seconds: float = 2.0
    """How long a task is PROCESSING."""
    seconds_by_action: Mapping[str, float] = field(default_factory=dict)
    """How long the tasks of individual actions are PROCESSING."""
    task_failure: TaskFailure | None = None
    """How tasks fail; None lets them succeed."""
    procedures: Mapping[str, Procedure] = field(default_factory=dict)
    """Task flows by name. Any other name is a task flow with one transcoding (the real service refuses unknown names)."""
    session_window: float | None = None
    """*Uncertain.* Seconds during which a SessionId must not be used again. None: what the action's page says, three days, or
    seven for ProcessMediaByProcedure and RemoveWatermark; most result structures say seven days."""
    session_scope: Literal["application", "account"] = "application"
    """*Uncertain.* Where a SessionId must be unique: not documented. The default follows from "sub-applications behave like
    separate VOD accounts"."""
    session_per_action: bool = False
    """*Uncertain.* Whether two actions may use the same SessionId: not documented."""
    refusal_uses_session: bool = False
    """*Uncertain.* Whether a request that the service refuses uses its SessionId up, so that the same request is a duplicate
    afterwards although no task was started: not documented."""
    duplicate_code: str | None = None
    """The error code of a duplicate request, such as ``FailedOperation.TaskDuplicate``. None: the one that the action's page
    lists; some pages list more than one."""
    listing_delay: float = 0.0
    """*Uncertain.* How long it takes until DescribeTasks lists a new task: not documented."""
    listed_session_id: bool = True
    """*Uncertain.* Whether DescribeTasks shows the SessionId. The schema has it, the vendor's samples do not show it."""
    listed_session_context: bool = True
    """*Uncertain.* Whether DescribeTasks shows the SessionContext, as before."""
    abort_refused: str = "FailedOperation"
    """*Uncertain.* Error code of ManageTask for a task that does not wait any more: not documented."""
    abort_announced: bool = False
    """*Uncertain.* Whether a task that was aborted is announced like one that has ended: not documented."""
    serve_media: bool = False
    """Whether the outputs of tasks such as EditMedia and ComposeMedia are files that can be downloaded from the emulator;
    their URLs are its own then, and MetaData has their MD5. Files that a test adds can be downloaded either way."""
    playback_key: str = ""
    """Key of hotlink protection: media files open only with URLs that it signed. Empty for no protection."""
    media_ranges: bool = True
    """Whether parts of media files are served (``Range``); a CDN does, an origin that is read through may not."""
    unauthorized_actions: frozenset[str] = frozenset()
    """Actions that no account is permitted to call (UnauthorizedOperation)."""
    invalid_vod_user: bool = False
    """Whether the account has not activated the VOD service (FailedOperation.InvalidVodUser for every action)."""
    rtt: float = 0.0
    """A simulated round trip by the emulator's clock: half of it passes before the request is handled, half before the
    answer is sent."""
    calls_kept: int = 10_000
    """Maximum number of calls in the log; the counters include all calls."""

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
