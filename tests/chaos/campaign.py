"""Runs a campaign: publishes, lets everything fail, waits until all is delivered, and settles the accounts.

Invariant: the accounts are drawn up from what was published, what the waiters told, what the inbox holds and what the
emulator logged; nothing is taken on the word of a relay.
"""

from __future__ import annotations

import bisect
import contextlib
import multiprocessing
import multiprocessing.connection
import os
import random
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from airflow_vod.emulator import Emulator
from airflow_vod.emulator.clock import SystemClock
from airflow_vod.events.parse import read_event
from airflow_vod.events.results import result_of
from airflow_vod.exceptions import InboxUnavailableError
from airflow_vod.inbox import InboxStore
from airflow_vod.tencent.settings import VodSettings
from tests import tempo
from tests.chaos import players
from tests.chaos.databases import Saboteur
from tests.chaos.events import PARTIES, Happening, happenings, url_of

SUB_APP_ID = 1500012345
RELAYS = 2  # processes that relay and nothing else; the other two relay as well
PATIENCE = 60.0  # seconds without any progress after which the rest counts as lost
HELD_BACK = 0.25  # of the events: a database that nobody writes to troubles nobody
TRICKLE = 0.2  # seconds between two of those, until each trouble has been met

# Odds of each fault, per call; `slow` beyond the client's patience is a lost answer that was not lost.
ODDS = {
    "drop_request": 0.03,
    "drop_response": 0.03,
    "http_500": 0.025,
    "http_502_html": 0.025,
    "html_200": 0.025,
    "internal_error": 0.03,
    "throttled": 0.03,
    "truncate": 0.025,
    "garbage_json": 0.025,
    "charset": 0.03,
    "expire_handles": 0.025,
    "slow:0.2": 0.03,
    "slow:2.5": 0.003,
    "auth_failure": 0.002,
    "error:FailedOperation:busy": 0.005,
}
ACTIONS = ("PullEvents", "ConfirmEvents")
QUEUE_AHEAD = "queue's clock set ahead"
MACHINE_AHEAD = "machine's clock set ahead"
KILLED = "relay killed"
STOPPED = "process stopped for longer than its lease"
TROUBLES = (QUEUE_AHEAD, KILLED, STOPPED)
BY_CALLBACK = "event by callback beside the queue"
TWICE_IN_QUEUE = "event twice in the queue"
NONE = "event that is none"
ODD_EVENTS = (BY_CALLBACK, TWICE_IN_QUEUE, NONE)


class Clock(SystemClock):
    """The emulator's clock, which can be set ahead, and remembers when that was."""

    def __init__(self) -> None:
        super().__init__()
        self._jumps: list[tuple[float, float]] = [(float("-inf"), 0.0)]  # first moment after it, and all so far

    def jump(self, seconds: float) -> None:
        """Set it ahead."""
        self._origin += seconds
        self._jumps.append((self.now(), self._jumps[-1][1] + seconds))

    def elapsed(self, moment: float) -> float:
        """Tell when a moment of this clock would have been without jumps."""
        return moment - self._jumps[bisect.bisect_right(self._jumps, (moment, float("inf"))) - 1][1]


@dataclass
class Report:
    """The accounts of a campaign."""

    seed: int
    database: str
    published: int
    lost: list[str] = field(default_factory=list)  # waiter and task, or an event that is not in the inbox
    twice: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)  # whatever else must not be
    calls: Counter[str] = field(default_factory=Counter)
    busiest_second: dict[str, int] = field(default_factory=dict)  # most calls of an action in any second
    fired: Counter[str] = field(default_factory=Counter)  # faults that really fired
    met: Counter[str] = field(default_factory=Counter)  # errors of the database that players met
    delivered: int = 0
    redelivered: int = 0
    watches_ended: int = 0
    seconds: float = 0.0

    @property
    def faults(self) -> int:
        """How many faults fired; odd events and second copies do not count."""
        return sum(number for kind, number in self.fired.items() if kind not in ODD_EVENTS)

    def missing(self) -> list[str]:
        """Kinds of faults that never fired, or that nobody met."""
        never = [kind for kind in self.expected_kinds() if not self.fired[kind]]
        return never + [f"{kind}, met" for kind in self.expected_troubles() if not self.met[kind]]

    def expected_kinds(self) -> list[str]:
        """Every fault there is in a campaign."""
        calls = [f"{action} {fault}" for action in ACTIONS for fault in ODDS]
        clocks = [MACHINE_AHEAD] if self.database == "sqlite" else []  # a server's own clock tells the time
        return [*calls, *Saboteur.KINDS[self.database], *TROUBLES, *clocks, *ODD_EVENTS]

    def expected_troubles(self) -> list[str]:
        """The errors of the database that somebody must have met."""
        restarted = ["connection lost"] if self.database != "sqlite" else []
        return ["database locked", "database full", "pool exhausted", *restarted]

    def __str__(self) -> str:
        lines = [
            f"{self.database}, seed {self.seed}: {self.published} events, {self.faults} faults, {self.seconds:.0f} s"
        ]
        lines += [f"  {number:6} {kind}" for kind, number in sorted(self.fired.items())]
        lines += [f"  {number:6} errors that processes met: {kind}" for kind, number in sorted(self.met.items())]
        lines += [f"  {self.redelivered:6} deliveries of events that had been delivered before"]
        lines += [f"  {self.watches_ended:6} watches that gave up and were replaced, as seen by their waiters"]
        for action, number in sorted(self.calls.items()):
            lines.append(f"  {number:6} {action}, at most {self.busiest_second[action]} in a second")
        lines += [f"  {self.delivered:6} deliveries to waiters: lost {len(self.lost)}, twice {len(self.twice)}"]
        return "\n".join([*lines, *(f"  WRONG: {each}" for each in self.wrong[:20])])


def run(events: int, seed: int, saboteur: Saboteur, *, rate: float, pause: float, odds: float = 1.0) -> Report:
    """Run a campaign.

    :param events: how many.
    :param seed: of the events and the faults; what meets what is up to the machine.
    :param saboteur: of an empty inbox.
    :param rate: events per second, on average.
    :param pause: seconds between two troubles that are not faults of a call.
    :param odds: of faults of calls, in parts of `ODDS`.
    """
    clock = Clock()
    options = tempo.options(batch=5, calls_kept=1_000_000)
    with Emulator(options=options, clock=clock) as emulator:
        return _Campaign(events, seed, saboteur, emulator, clock).run(rate, pause, odds)


class _Campaign:
    """One campaign under way."""

    def __init__(self, events: int, seed: int, saboteur: Saboteur, emulator: Emulator, clock: Clock) -> None:
        self.report = Report(seed, saboteur.database, events)
        self.emulator, self.clock, self.saboteur = emulator, clock, saboteur
        self.dice = random.Random(seed)
        self.happenings = list(happenings(events, seed))
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["tests.chaos.players"])
        self.ahead = self.context.Value("d", 0.0)
        settings = VodSettings(
            secret_id=emulator.secret_id,
            secret_key=emulator.secret_key,
            endpoint=emulator.endpoint,
            sub_app_id=SUB_APP_ID,
        )
        self.queue = settings.queue
        self.stage = players.Stage(settings, saboteur.url, self.ahead)
        self.store = InboxStore.open(saboteur.url)
        self.players: list[_Process] = []
        self.woken: Counter[tuple[str, str]] = Counter()  # process and task
        self.progress = time.monotonic()
        self.calls_back: deque[tuple[Happening, Any]] = deque()
        self.published = threading.Event()  # all of them
        self.scripted = threading.Event()  # each fault of a call was there at least once
        self.over = threading.Event()  # no more troubles

    # The course

    def run(self, rate: float, pause: float, odds: float) -> Report:
        began = time.monotonic()
        expected = {(party, h.vod_task_id) for h in self.happenings for party in h.awaited_by}
        try:
            self._raise_curtain()
            self.emulator.faults.chaos(self.report.seed, {fault: odds * each for fault, each in ODDS.items()}, ACTIONS)
            work = [self._in_thread(self._publish, rate), self._in_thread(self._call_back)]
            work += [self._in_thread(self._make_trouble, pause), self._in_thread(self._script_faults)]
            while not (self.over.is_set() and expected <= self.woken.keys()):
                self._listen()
                if time.monotonic() - self.progress > PATIENCE:
                    break
            self.over.set()
            for thread in work:
                thread.join()
            self._lower_curtain()
        finally:
            for player in self.players:
                player.process.kill()
                player.process.join()
        self._settle(expected)
        self.store.close()
        self.report.seconds = time.monotonic() - began
        return self.report

    def _raise_curtain(self) -> None:
        for party in PARTIES:
            tasks = [h.vod_task_id for h in self.happenings if party in h.awaited_by]
            self.players.append(_Process(self.context, party, players.triggerer, (self.stage,), (party, tasks)))
        for number in range(RELAYS):
            self.players.append(_Process(self.context, f"relay {number}", players.relay, (self.stage,), ()))

    def _lower_curtain(self) -> None:
        """Without faults, all that is still in the queue is confirmed; then all processes end by themselves."""
        self.emulator.faults.clear()
        with contextlib.suppress(TimeoutError):
            self.emulator.wait_until(self._queue_is_empty, 20)
        for player in self.players:
            player.send("finish", 0)
        deadline = time.monotonic() + 20
        while any(player.process.is_alive() for player in self.players) and time.monotonic() < deadline:
            self._listen()
        self._listen()
        for player in self.players:
            if player.process.exitcode != 0:
                self.report.wrong.append(f"{player.name} ended with {player.process.exitcode}")

    def _queue_is_empty(self) -> bool:
        counts = self.emulator.queue(SUB_APP_ID)
        return counts.visible + counts.hidden == 0

    def _in_thread(self, work: Callable[..., None], *args: Any) -> threading.Thread:
        def guarded() -> None:
            try:
                work(*args)
            except Exception as error:
                self.report.wrong.append(f"{work.__name__}: {error!r}")
                raise

        thread = threading.Thread(target=guarded)
        thread.start()
        return thread

    def _listen(self) -> None:
        """Take down what the players tell."""
        lines = {player.line: player for player in self.players if not player.deaf}
        for line in multiprocessing.connection.wait(list(lines), timeout=0.1):
            player = lines[line]
            try:
                while line.poll():
                    self._note(player, *line.recv())
            except (EOFError, OSError):
                player.deaf = True

    def _note(self, player: _Process, kind: str, value: Any) -> None:
        match kind:
            case "woken":
                self.progress = time.monotonic()
                self.woken.update((player.name, task) for task in value)
            case "met" if value in self.report.expected_troubles():
                self.report.met[value] += 1
            case "met" | "error":
                self.report.wrong.append(f"{player.name} met {value}")
            case "watch failed":
                self.report.watches_ended += 1

    # What happens

    def _publish(self, rate: float) -> None:
        """Publish in bursts of all sizes, some of them floods; the order is not that in which waiters begin."""
        rest, copies = deque(self._shuffled()), []
        held_back = HELD_BACK * len(rest)
        while rest:
            size = self.dice.choice((1, 2, 5, 20, 60, len(self.happenings) // 20))
            if len(rest) <= held_back and not self._all_met():
                size = 1
                time.sleep(TRICKLE)
            burst = [rest.popleft() for _ in range(min(size, len(rest)))]
            for happening in burst:
                self.calls_back.extend((happening, body) for body in happening.callbacks)
                copies += [happening] * max(0, happening.copies - 1)
                if happening.copies:
                    self.emulator.publish(happening.body, SUB_APP_ID)
                if happening.vod_task_id is None:
                    self.report.fired[NONE] += 1
            while copies and self.dice.random() < 0.5:
                self.emulator.publish(copies.pop().body, SUB_APP_ID)
                self.report.fired[TWICE_IN_QUEUE] += 1
            self.progress = time.monotonic()
            time.sleep(len(burst) / rate)
        for happening in copies:
            self.emulator.publish(happening.body, SUB_APP_ID)
            self.report.fired[TWICE_IN_QUEUE] += 1
        self.published.set()

    def _all_met(self) -> bool:
        return self.over.is_set() or all(self.report.met[kind] for kind in self.report.expected_troubles())

    def _shuffled(self) -> Iterator[Happening]:
        near = sorted((n + self.dice.uniform(0, 200), n) for n in range(len(self.happenings)))
        return (self.happenings[n] for _, n in near)

    def _call_back(self) -> None:
        """Hand events in as the receiver of callbacks does; VOD repeats what was not taken."""
        while not self.published.is_set() or self.calls_back:
            if not self.calls_back:
                time.sleep(0.01)
                continue
            happening, body = self.calls_back.popleft()
            time.sleep(self.dice.choice((0, 0, 0, 0.01)))
            while True:
                try:
                    self.store.receive(self.queue, [read_event(dict(body))], "callback")
                except InboxUnavailableError:
                    time.sleep(0.05)
                else:
                    break
            if happening.copies:
                self.report.fired[BY_CALLBACK] += 1

    # Trouble

    def _script_faults(self) -> None:
        """See to it that each action meets each fault, however few calls there are."""
        decks = {action: self.dice.sample(list(ODDS), len(ODDS)) for action in ACTIONS}
        while any(decks.values()) and not (self.published.is_set() and self._queue_is_empty()):
            for action in [action for action, deck in decks.items() if deck]:
                if action not in self.emulator.faults.pending:
                    self.emulator.faults.script({action: [decks[action].pop()]})
            time.sleep(0.02)
        self.scripted.set()

    def _make_trouble(self, pause: float) -> None:
        """Deal one trouble after the other, each at least once, until everything is published."""
        troubles: dict[str, Callable[[], None]] = {
            QUEUE_AHEAD: self._set_queue_ahead,
            KILLED: self._kill_leader,
            STOPPED: self._stop_leader,
            **{kind: lambda kind=kind: self._sabotage(kind) for kind in Saboteur.KINDS[self.saboteur.database]},
        }
        if self.saboteur.database == "sqlite":
            troubles[MACHINE_AHEAD] = self._set_machine_ahead
        under_way: list[threading.Thread] = []
        while not self.published.is_set() or not all(self.report.fired[kind] for kind in troubles):
            deck = self.dice.sample(list(troubles), len(troubles))
            for kind in deck:
                under_way.append(self._in_thread(troubles[kind]))
                time.sleep(pause * self.dice.uniform(0.5, 1.5))
            if self.stalled():
                break
        for thread in under_way:
            thread.join()
        self.scripted.wait()
        self.over.set()

    def stalled(self) -> bool:
        return self.over.is_set() or time.monotonic() - self.progress > PATIENCE

    def _sabotage(self, kind: str) -> None:
        """Trouble the database, again if nobody has noticed although there is still something to be written."""
        while True:
            before = self.report.met[kind]
            self.saboteur.strike(kind, lambda command, seconds: [each.send(command, seconds) for each in self.players])
            self.report.fired[kind] += 1
            met = kind not in self.report.expected_troubles() or self.report.met[kind] > before
            if met or self.published.is_set() or self.stalled():
                return

    def _set_queue_ahead(self) -> None:
        """Handles expire, and what was hidden comes back."""
        self.clock.jump(self.dice.choice((0.5, tempo.VISIBILITY, 20.0)))
        self.emulator.api.tick()
        self.emulator.api.schedule.on_earlier()
        self.report.fired[QUEUE_AHEAD] += 1

    def _set_machine_ahead(self) -> None:
        """Leases run out at once."""
        self.ahead.value += self.dice.choice((0.5, 5.0, 3600.0))
        self.report.fired[MACHINE_AHEAD] += 1

    def _leader(self) -> _Process | None:
        with contextlib.suppress(InboxUnavailableError):
            lease = self.store.leases.read(self.queue)
            if lease is not None:
                pid = int(lease.holder.split(":")[1])
                return next((each for each in self.players if each.process.pid == pid), None)
        return None

    def _kill_leader(self) -> None:
        """Kill the process that leads; if that one has waiters, a relay of its own."""
        victim = self._leader()
        if victim is None or victim.name in PARTIES:
            victim = self.dice.choice(self.players[len(PARTIES) :])
        victim.process.kill()
        victim.process.join()
        self.players[self.players.index(victim)] = victim.again()
        self.report.fired[KILLED] += 1

    def _stop_leader(self) -> None:
        victim = self._leader() or self.dice.choice(self.players)
        with contextlib.suppress(ProcessLookupError):  # it is being killed just now; the next one's turn comes
            with victim.stopped():
                time.sleep(3.0)
            self.report.fired[STOPPED] += 1

    # The accounts

    def _settle(self, expected: set[tuple[str, str]]) -> None:
        report = self.report
        report.delivered = self.woken.total()
        report.lost += [f"{party} {task}" for party, task in sorted(expected - self.woken.keys())]
        report.twice += [f"{party} {task}" for (party, task), number in self.woken.items() if number > 1]
        if strange := self.woken.keys() - expected:
            report.wrong.append(f"delivered to somebody else: {sorted(strange)[:5]}")
        self._settle_inbox()
        counts = self.emulator.queue(SUB_APP_ID)
        report.redelivered = counts.delivered - counts.published
        if counts.confirmed != counts.published:
            report.wrong.append(f"not everything was confirmed in the end: {counts}")
        for (action, fault), number in self.emulator.faults.fired().items():
            report.fired[f"{action} {fault}"] += number
        self._settle_rates()

    def _settle_inbox(self) -> None:
        keys: Counter[str] = Counter()
        before = None
        while page := self.store.newest(self.queue, before=before, limit=500):
            before = page[-1].cursor
            for stored in page:
                keys[stored.key] += 1
                if stored.finished and stored.error is None:
                    url = result_of(stored.event()).files[0].url
                    if url != url_of(stored.vod_task_id or ""):
                        self.report.wrong.append(f"{stored.vod_task_id} has {url}")
        published = {happening.key: happening for happening in self.happenings}
        self.report.lost += [f"inbox {str(h.body)[:200]}" for key, h in published.items() if key not in keys]
        self.report.twice += [f"inbox {key}" for key, number in keys.items() if number > 1]
        if strange := keys.keys() - published.keys():
            self.report.wrong.append(f"{len(strange)} events in the inbox that nobody published")

    def _settle_rates(self) -> None:
        by_action: dict[str, list[float]] = {}
        for call in self.emulator.calls:
            self.report.calls[call.action] += 1
            by_action.setdefault(call.action, []).append(self.clock.elapsed(call.arrived_at))
        for action, times in by_action.items():
            times.sort()
            most = max(bisect.bisect_left(times, start + 1) - n for n, start in enumerate(times))
            self.report.busiest_second[action] = most


class _Process:
    """A player, and the line to it."""

    def __init__(self, context: Any, name: str, play: Any, before: tuple[Any, ...], behind: tuple[Any, ...]) -> None:
        self._again = (context, name, play, before, behind)
        self.name = name
        self.deaf = False
        self.line, theirs = context.Pipe()
        self.process = context.Process(target=play, args=(*before, theirs, *behind), daemon=True)
        self._alone = threading.Lock()
        self.process.start()
        theirs.close()

    def again(self) -> _Process:
        """Start another one like it."""
        return _Process(*self._again)

    def send(self, command: str, value: float) -> None:
        """Tell the player something; the dead do not hear."""
        with contextlib.suppress(OSError):
            self.line.send((command, value))

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the process, and let it go on."""
        with self._alone:
            pid = self.process.pid
            os.kill(pid, signal.SIGSTOP)
            try:
                yield
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
