"""Every error that this package raises on its own account.

    VodError                      anything below
    ├── VodSettingsError          a connection or setting that cannot work as it is written
    │   └── VodConnectionError        a connection that Airflow does not know, or cannot read now: it says the same of both
    ├── VodApiError               the VOD API refused, or could not be reached
    │   ├── VodAuthenticationError    credentials or permission: waiting does not help
    │   ├── VodInvalidRequestError    the request itself is wrong: waiting does not help
    │   │   └── VodPushModeError          there is no queue: the application announces its events by callback
    │   └── VodTransientError         network, HTTP 5xx, InternalError, a proxy's HTML: later may work
    │       └── VodThrottledError         over a rate limit: later will work
    ├── EventParseError           a body that is not a VOD event
    ├── ResultError               a value that is not the result of a VOD task
    ├── MediaError                a media file that cannot be fetched, or a URL that cannot be signed
    ├── SubmissionError           a VOD task that could not be started
    │   ├── SubmissionRefusedError    VOD refuses the request itself: trying again does not help
    │   ├── SubmissionUnknownError    whether it was started cannot be found out now: later may work
    │   └── SubmissionLostError       whether it was started cannot be found out at all: a person must look
    └── InboxError                the inbox
        ├── InboxSchemaError          its tables belong to another version of this package
        └── InboxUnavailableError     its database cannot be reached or is locked: later may work

Invariants: no message of these errors holds a secret; whoever raises one passes text that may be shown to anybody. Each
message ends with the name of its kind, such as ``[inbox-unavailable]``, which is a heading of ``docs/troubleshooting.md``.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

PROXY_AUTHENTICATION = "ProxyAuthenticationRequired"  # our own code: the API was not reached


class ExplainedError(Exception):
    """An error that the documentation explains, and whose message says where."""

    anchor: ClassVar[str]
    """The heading in ``docs/troubleshooting.md``; people search for it and link to it, so it never changes."""

    @property
    def text(self) -> str:
        """The message without its anchor, to be part of another message that has one."""
        return super().__str__()

    def __str__(self) -> str:
        return f"{self.text} [{self.anchor}]"


class VodError(ExplainedError):
    """Base of all errors of this package."""

    anchor = "vod-error"
    _during = ""

    def during(self, what: str) -> Self:
        """Add what was going on, for who finds the error in a log.

        :param what: one or more sentences; what was added before is kept instead.
        """
        self._during = self._during or what
        return self

    @property
    def text(self) -> str:
        """The message without its anchor, to be part of another message that has one."""
        return f"{self._told()} {self._during}" if self._during else self._told()

    def _told(self) -> str:
        """Say what is wrong."""
        return super().text


class VodSettingsError(VodError, ValueError):
    """A connection or setting cannot work as it is written; the message names the field, the value and the remedy."""

    anchor = "vod-settings"


class VodConnectionError(VodSettingsError):
    """Airflow does not know the connection, or cannot read it now: it says the same of both."""

    anchor = "vod-connection"


class VodApiError(VodError):
    """The VOD API answered with an error, or did not answer.

    :param action: the API action, such as ``PullEvents``.
    :param code: the API's error code, such as ``AuthFailure.SignatureFailure``; our own word where there was no answer.
    :param message: the API's text, or what happened instead of an answer.
    :param request_id: the ``RequestId`` that Tencent Cloud's support asks for; None where there was no answer.
    :param remedy: what the reader can do about it.
    """

    anchor = "vod-api"

    def __init__(
        self,
        action: str,
        code: str,
        message: str,
        request_id: str | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(action, code, message, request_id, remedy)
        self.action = action
        self.code = code
        self.message = message
        self.request_id = request_id
        self.remedy = remedy

    def _told(self) -> str:
        request = f" (request id {self.request_id})" if self.request_id else ""
        remedy = f" {self.remedy}" if self.remedy else ""
        return printable(f"{self.action}: {self.code}: {self.message}{request}.{remedy}")


class VodAuthenticationError(VodApiError):
    """Credentials were refused, or they lack a permission. Permanent: waiting does not help."""

    anchor = "vod-authentication"

    @property
    def is_auth_failure(self) -> bool:
        """Whether the key itself is refused, or we are by the proxy; other codes refuse this one action only."""
        return self.code.startswith("AuthFailure") or self.code == PROXY_AUTHENTICATION


class VodInvalidRequestError(VodApiError):
    """The API refuses this very request (a parameter, a SubAppId, an unknown action). Permanent."""

    anchor = "vod-invalid-request"


class VodPushModeError(VodInvalidRequestError):
    """The application announces its events by callback, so nothing will ever come out of its queue."""

    anchor = "vod-push-mode"


class VodTransientError(VodApiError):
    """The API could not answer now: network, HTTP 5xx, ``InternalError``, or HTML from a proxy."""

    anchor = "vod-transient"


class VodThrottledError(VodTransientError):
    """Over a rate limit of the API (``RequestLimitExceeded`` and its kin)."""

    anchor = "vod-throttled"


class EventParseError(VodError, ValueError):
    """The body is not a VOD event; the message says what is wrong with it."""

    anchor = "event-parse"


class ResultError(VodError, ValueError):
    """The value is not the result of a VOD task, or lacks what is asked of it."""

    anchor = "result-error"


class MediaError(VodError):
    """A media file cannot be fetched, or its URL cannot be signed; the message shows URLs without their query."""

    anchor = "media-error"


class SubmissionError(VodError):
    """A VOD task could not be started."""

    anchor = "submission-error"


class SubmissionRefusedError(SubmissionError):
    """VOD refuses the request itself, and has started nothing. Permanent."""

    anchor = "submission-refused"


class SubmissionUnknownError(SubmissionError):
    """A request may have started a task, and VOD does not tell now; nothing is requested anew until it does."""

    anchor = "submission-unknown"


class SubmissionLostError(SubmissionError):
    """A request may have started a task, and VOD can no longer tell; only a person can decide to start another one."""

    anchor = "submission-lost"


class InboxError(VodError):
    """The inbox cannot do what it was asked."""

    anchor = "inbox-error"


class InboxSchemaError(InboxError):
    """The tables of the inbox were made by a newer version of this package, or cannot be brought up to this one."""

    anchor = "inbox-schema"


class InboxUnavailableError(InboxError):
    """The database of the inbox cannot be reached, is locked or broke off; the work can be tried again later."""

    anchor = "inbox-unavailable"


def printable(text: str) -> str:
    """Escape what a terminal or the reader of a log would take for more than text.

    It is written as Python writes it in a literal.

    What came from VOD or from strangers stays on its line, moves no cursor, and does not turn the direction of writing.

    :param text: any text, for one line.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def error_to_dict(error: VodError) -> dict[str, Any]:
    """Write an error of this package as JSON, to carry it from a trigger to its task.

    :param error: the error; of a class that is private to a module, the public base is written.
    """
    name = next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == __name__)
    return {"type": name, "args": list(error.args)}


def error_from_dict(value: dict[str, Any]) -> VodError:
    """Read what `error_to_dict` wrote."""
    return globals()[value["type"]](*value["args"])
