"""Airflow tasks that each start one VOD task, on workers that die at any step, while answers are lost and come twice.

Invariants that are checked, at each step or at the end:

- for one life of an Airflow task VOD starts one task, whoever dies and however often Airflow tries again; where VOD offers no
  SessionId to recognise a request by, it starts one at most, and the submission is given up where that cannot be known;
- every try of one life gets the same VOD task, and it is one that VOD has started for it;
- once the weather is calm, every submission comes to its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from airflow_vod.events.parse import read_event
from airflow_vod.exceptions import InboxError, SubmissionLostError, VodError
from airflow_vod.inbox.generations import TaskRequest, key_of
from airflow_vod.inbox.lookup import look
from airflow_vod.submission import Submitter
from airflow_vod.tencent.actions import ACTIONS
from tests.simulation.cloud import CALM, Client, Cloud, Weather
from tests.simulation.databases import Server, store_of
from tests.simulation.relays import SETTINGS
from tests.simulation.world import BrokenError, Process, World

STORM = 60.0  # virtual seconds for which things fail
AFTERWARDS = 1500.0  # within which everything must be over
MAX_STEP = 60  # of a worker at which it may be killed


@dataclass
class Job:
    """One Airflow task.

    :param number: tells it from the others.
    :param action: what it starts.
    """

    number: int
    action: str
    lives: int = 1
    attempt: int = 0
    started: list[str] = field(default_factory=list)  # by VOD
    results: dict[int, set[str]] = field(default_factory=dict)  # by life
    lost: bool = False
    cleared_at_end: bool = False

    def parameters(self) -> dict[str, Any]:
        """What VOD is asked."""
        if self.action == "EditMedia":
            return {"InputType": "File", "FileInfos": [{"FileId": str(self.number)}]}
        return {"FileId": str(self.number), "SourceDefinition": 10}

    @property
    def over(self) -> bool:
        """Whether its latest life has come to an end."""
        return self.lost or self.lives in self.results


class Worker(Process):
    """A process that runs one try of one Airflow task.

    :param drill: of which it is a part.
    :param job: the Airflow task.
    """

    def __init__(self, drill: Drill, job: Job) -> None:
        self.job, self.life, self.attempt = job, job.lives, job.attempt
        super().__init__(drill.world, f"worker {job.number}.{job.lives}.{job.attempt}")
        self._drill = drill
        self.ended = False
        self.start(self._run, self.name)

    def _run(self) -> None:
        drill, job = self._drill, self.job
        store = store_of(drill.server, self, drill.cloud.weather)
        submitter = Submitter(Client(self, drill.cloud, SETTINGS), store)
        request = TaskRequest(
            ACTIONS[job.action],
            job.parameters(),
            key_of("dag", job.number),
            f"dag/{job.number}",
            self.life,
            self.attempt,
        )
        try:
            submission = submitter.submit(request)
            assert submission.vod_task_id is not None
            drill.got(self, submission.vod_task_id)
            while not look(store, SETTINGS.queue, [submission.vod_task_id]).complete:
                drill.world.sleep(1.0)
            submitter.note_done(submission)
        except (VodError, InboxError) as error:
            drill.failed(self, error)
        else:
            drill.done(self, submission.vod_task_id)


class Drill:
    """One run.

    :param seed: decides everything.
    :param server: the database, in which nobody else is at work.
    """

    def __init__(self, seed: int, server: Server) -> None:
        self.world = World(seed, "submissions")
        self.server = server
        server.begin(self.world)
        rng = self.rng = self.world.rng
        self.cloud = Cloud(
            self.world,
            weather_of(rng),
            listing_delay=rng.choice((0.0, 0.0, 5.0, 30.0)),
            listed_session_id=rng.random() < 0.7,
            listed_session_context=rng.random() < 0.7,
            duplicate_code=rng.choice((None, "FailedOperation.TaskDuplicate")),
            task_seconds=rng.choice((2.0, 20.0)),
        )
        actions = ("EditMedia", "EditMedia", "EditMedia", "WeChatMiniProgramPublish")
        self.jobs = [Job(number, rng.choice(actions)) for number in range(rng.randint(1, 4))]
        self._watch_starts()
        for job in self.jobs:
            job.cleared_at_end = rng.random() < 0.2
            self.world.at(rng.uniform(0, STORM / 3), lambda job=job: self._try(job))  # type: ignore[misc]
        self.world.at(STORM, self._calm_down)

    def _watch_starts(self) -> None:
        start = self.cloud.app.runner.start

        def noted(kind: Any, params: Mapping[str, Any], action: str = "") -> str:
            vod_task_id = start(kind, params, action)
            number = params["FileId"] if "FileId" in params else params["FileInfos"][0]["FileId"]
            job = self.jobs[int(number)]
            job.started.append(vod_task_id)
            self.world.note(f"VOD starts a task for job {number}")
            if len(job.started) > job.lives:
                self.world.errors.append(BrokenError(f"{len(job.started)} VOD tasks for job {number}"))
            return vod_task_id

        self.cloud.app.runner.start = noted  # type: ignore[method-assign]
        self.cloud.app.queue.publish = self._relay  # type: ignore[method-assign]

    def _relay(self, body: bytes) -> None:
        """Bring an event into the inbox; how that is done safely is another drill's part."""
        import json

        event = read_event(json.loads(body))
        self.world.after(self.rng.uniform(0, 5), lambda: self.server.store.receive(SETTINGS.queue, [event], "pull"))

    def _try(self, job: Job) -> None:
        """Do as Airflow does: begin a try, and another one when the worker is gone, or seems to be."""
        if job.over:
            return
        job.attempt += 1
        worker, rng = Worker(self, job), self.rng
        if self.world.now > STORM:
            return
        if rng.random() < 0.5:
            worker.dies_in = rng.randint(0, MAX_STEP)
        elif rng.random() < 0.3:
            self.world.after(rng.uniform(0, 2), lambda: worker.freeze(rng.uniform(1, 60)))
        self.world.after(rng.uniform(2, 60), lambda: self._look_after(worker))

    def _look_after(self, worker: Worker) -> None:
        """Begin another try where Airflow takes a worker for dead; one that only hung goes on beside it."""
        job = worker.job
        if job.over or worker.ended or (worker.attempt, worker.life) != (job.attempt, job.lives):
            return
        if not worker.alive or worker.frozen_until > self.world.now:
            self._try(job)
        else:
            self.world.after(self.rng.uniform(2, 60), lambda: self._look_after(worker))

    def got(self, worker: Worker, vod_task_id: str) -> None:
        """Take down which VOD task a try waits for."""
        self.world.note(f"{worker.name} waits for a task")
        if vod_task_id not in worker.job.started:
            raise BrokenError(f"{worker.name} waits for {vod_task_id}, which was not started for it")

    def done(self, worker: Worker, vod_task_id: str) -> None:
        """Take down the result of a try."""
        job = worker.job
        self.world.note(f"{worker.name} is done")
        worker.ended = True
        if worker.life != job.lives:
            return  # it was taken for dead, and cleared since: nobody takes its result any more
        results = job.results.setdefault(worker.life, set())
        results.add(vod_task_id)
        if len(results) > 1:
            raise BrokenError(f"two results for one life of job {job.number}")
        if job.cleared_at_end and job.lives == worker.life:
            job.cleared_at_end, job.lives = False, job.lives + 1
            self.world.after(self.rng.uniform(0, 20), lambda: self._try(job))

    def failed(self, worker: Worker, error: Exception) -> None:
        """Take down that a try failed; Airflow tries again."""
        job = worker.job
        self.world.note(f"{worker.name} fails: {type(error).__name__}")
        worker.ended = True
        if isinstance(error, SubmissionLostError):
            if job.action == "EditMedia":
                raise BrokenError(f"job {job.number} is given up, although VOD would recognise its request: {error}")
            job.lost = True
        elif worker.attempt == job.attempt and worker.life == job.lives:
            self.world.after(self.rng.uniform(1, 30), lambda: self._try(job))

    def _calm_down(self) -> None:
        self.world.note("calm")
        vars(self.cloud.weather).update(vars(CALM))
        for job in self.jobs:
            latest = [each for each in self.world.processes if isinstance(each, Worker) and each.job is job]
            if latest:
                latest[-1].dies_in = float("inf")

    def run(self) -> World:
        """Run it to its end and check what must hold.

        :raises BrokenError: something does not.
        """
        self.world.run(STORM + AFTERWARDS, done=lambda: self.world.now > STORM + 60 and all(j.over for j in self.jobs))
        for job in self.jobs:
            if not job.over:
                raise self.world.broken(BrokenError(f"job {job.number} does not end"))
            results = [each for some in job.results.values() for each in some]
            if not job.lost and sorted(results) != sorted(job.started):
                raise self.world.broken(BrokenError(f"job {job.number} has {results}, VOD started {job.started}"))
        self.world.end()
        return self.world


def weather_of(rng: Random) -> Weather:
    """Draw how bad things are."""
    if rng.random() < 0.25:
        return Weather()
    return Weather(
        request_lost=rng.choice((0.0, 0.2)),
        request_late=rng.choice((0.0, 0.2)),
        doubled=rng.choice((0.0, 0.1)),
        not_sent=rng.choice((0.0, 0.2)),
        answer_lost=rng.choice((0.0, 0.3)),
        answer_late=rng.choice((0.0, 0.2)),
        throttled=rng.choice((0.0, 0.2)),
        refused=rng.choice((0.0, 0.0, 0.1)),
        before_commit=rng.choice((0.0, 0.1)),
        after_commit=rng.choice((0.0, 0.1)),
        slow=rng.choice((0.0, 0.1)),
    )
