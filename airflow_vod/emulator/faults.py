"""Fault injection: scripted or random faults, and a ledger of those that fired.

Invariants: a scripted fault hits exactly one call, in the order of the script; every fault that fires is in the ledger; the same
seed hits the same sequence of calls with the same faults.

The faults:
    internal_error      InternalError, nothing is done
    throttled           RequestLimitExceeded, nothing is done
    auth_failure        AuthFailure.SignatureFailure, nothing is done
    unauthorized        UnauthorizedOperation, nothing is done
    error:CODE:MESSAGE  any other error, nothing is done
    http_500            HTTP 500, nothing is done
    http_502_html       a gateway's HTML with HTTP 502, nothing is done
    html_200            a proxy's page with HTTP 200, nothing is done
    drop_request        the connection closes, nothing is done
    drop_response       done, but the connection closes without an answer
    truncate            done, but the connection closes after half of the body
    slow:SECONDS        done, but the answer is delayed
    charset             done, but answered as ``application/json; charset=utf-8``
    garbage_json        done, but the body is not JSON
    expire_handles      handles expire: all of the queue before the call, or, for PullEvents, those that it delivers
"""

from __future__ import annotations

import re
import threading
from collections import Counter, deque
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from airflow_vod.emulator.errors import ApiError
from airflow_vod.emulator.request import Answer, refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_HTML = (
    b"<html><head><title>%b</title></head><body><center><h1>%b</h1></center><hr><center>proxy</center></body></html>"
)
_INSTEAD = {
    "http_500": Answer(b'{"message":"internal server error"}', status=500),
    "http_502_html": Answer(_HTML.replace(b"%b", b"502 Bad Gateway"), status=502, content_type="text/html"),
    "html_200": Answer(_HTML.replace(b"%b", b"Sign in to the network"), content_type="text/html"),
    "drop_request": Answer(b"", cut=0),
}
_REFUSED = {
    "internal_error": ApiError("InternalError", "An internal error has occurred. Retry your request."),
    "throttled": ApiError("RequestLimitExceeded", "Your current request frequency exceeds the limit."),
    "auth_failure": ApiError("AuthFailure.SignatureFailure", "The provided credentials could not be validated."),
    "unauthorized": ApiError("UnauthorizedOperation", "You are not authorized to perform the operation."),
}
_AFTER = frozenset({"drop_response", "truncate", "charset", "garbage_json", "expire_handles"})
NAMES = frozenset({*_INSTEAD, *_REFUSED, *_AFTER, "slow:SECONDS", "error:CODE:MESSAGE"})
"""All faults."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, as written in a script.

    :param text: such as ``drop_response`` or ``slow:0.5``.
    :raises ValueError: when there is no such fault.
    """

    text: str

    def __post_init__(self) -> None:
        known = self.text in _INSTEAD or self.text in _REFUSED or self.text in _AFTER
        if not known and not re.fullmatch(r"slow:\d+(\.\d+)?|error:[\w.]+:.*", self.text, re.DOTALL):
            raise ValueError(f"no such fault: {self.text!r}; valid ones: {', '.join(sorted(NAMES))}")

    @property
    def name(self) -> str:
        """Its name without arguments."""
        return self.text.partition(":")[0]

    def refusal(self) -> ApiError | None:
        """:return: the error that is answered instead of carrying the call out; None if the fault is another."""
        if self.name == "error":
            _, code, message = self.text.split(":", 2)
            return ApiError(code, message)
        return _REFUSED.get(self.text)

    def replacement(self) -> Answer | None:
        """:return: the answer sent instead of carrying the call out; None when it is carried out."""
        error = self.refusal()
        return _INSTEAD.get(self.text) if error is None else refusal(error)

    def spoil(self, answer: Answer) -> Answer:
        """Apply the fault to an answer.

        :param answer: to a call that was carried out.
        :return: the answer to send instead.
        """
        match self.name:
            case "drop_response":
                return answer.but(cut=0)
            case "truncate":
                return answer.but(cut=max(1, len(answer.body) // 2))
            case "slow":
                return answer.but(delay=answer.delay + float(self.text.partition(":")[2]))
            case "charset":
                return answer.but(content_type="application/json; charset=utf-8")
            case "garbage_json":
                return answer.but(body=b'{"Response":{"EventSet":[{"EventHandle":')
        return answer


@dataclass(frozen=True, slots=True)
class Fired:
    """One entry of the ledger."""

    action: str
    fault: str
    fired_at: float
    """Unix seconds."""


class Faults:
    """Scripted faults, random faults and the ledger. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._scripts: dict[str, deque[Fault]] = {}
        self._random: tuple[Random, list[tuple[Fault, float]], frozenset[str] | None] | None = None
        self.ledger: list[Fired] = []
        """Faults that fired, in order."""

    def script(self, scripts: Mapping[str, Sequence[str] | str]) -> None:
        """Queue faults.

        :param scripts: action to faults, each of which hits one call; appended to those that have not fired yet.
        :raises ValueError: when there is no such fault; nothing is queued then.
        """
        parsed = {
            action: [Fault(f) for f in ([faults] if isinstance(faults, str) else faults)]
            for action, faults in scripts.items()
        }
        with self._lock:
            for action, faults in parsed.items():
                self._scripts.setdefault(action, deque()).extend(faults)

    def chaos(self, seed: int, odds: Mapping[str, float], actions: Iterable[str] | None = None) -> None:
        """Hit calls that no script applies to with random faults.

        :param seed: of the random numbers.
        :param odds: fault to probability; at most 1 in total.
        :param actions: to hit; all by default.
        :raises ValueError: when there is no such fault, or a probability is not valid.
        """
        if any(p < 0 for p in odds.values()) or sum(odds.values()) > 1 + 1e-9:
            raise ValueError(f"probabilities must not be negative and add up to at most 1, got {dict(odds)!r}")
        chosen = None if actions is None else frozenset(actions)
        parsed = [(Fault(name), p) for name, p in odds.items()]
        with self._lock:
            self._random = (Random(seed), parsed, chosen)  # noqa: S311 - not for cryptography

    def clear(self) -> None:
        """Remove faults that have not fired yet; the ledger is kept."""
        with self._lock:
            self._scripts.clear()
            self._random = None

    @property
    def pending(self) -> dict[str, list[str]]:
        """Scripted faults that have not fired yet, by action."""
        with self._lock:
            return {action: [f.text for f in faults] for action, faults in self._scripts.items() if faults}

    def fired(self) -> Counter[tuple[str, str]]:
        """:return: how often each fault fired, by action and fault."""
        return Counter((fired.action, fired.fault) for fired in self.ledger.copy())

    def take(self, action: str, now: float) -> Fault | None:
        """Take the fault that hits a call.

        :param action: of the call.
        :param now: Unix seconds.
        :return: the fault; None when the call is not hit.
        """
        with self._lock:
            fault = self._scripted_fault(action) or self._random_fault(action)
            if fault is not None:
                self.ledger.append(Fired(action, fault.text, now))
            return fault

    def _scripted_fault(self, action: str) -> Fault | None:
        faults = self._scripts.get(action)
        return faults.popleft() if faults else None

    def _random_fault(self, action: str) -> Fault | None:
        if self._random is None:
            return None
        random, odds, actions = self._random
        if actions is not None and action not in actions:
            return None
        number = random.random()
        for fault, probability in odds:
            number -= probability
            if number < 0:
                return fault
        return None
