"""VOD starts one task, whatever step a process dies at and whatever VOD does meanwhile: the standard form of `make submissions`.

The cases run beside each other, because most of their time is spent waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.submissions.cases import TROUBLES, Case, Outcome, all_cases, run, some_cases
from tests.submissions.player import STEPS

BESIDE = 6  # cases at a time
CASES = list(dict.fromkeys(some_cases()))


@pytest.fixture(scope="module")
def outcomes(
    tmp_path_factory: pytest.TempPathFactory, new_inbox: Callable[[str, Path], str]
) -> Iterator[dict[Case, Future[Outcome]]]:
    """All cases, under way."""
    folder = tmp_path_factory.mktemp("submissions")
    with ThreadPoolExecutor(BESIDE) as pool:
        under_way = {}
        for number, case in enumerate(CASES):
            under_way[case] = pool.submit(run, case, new_inbox(case.database, folder / f"{number}.db"))
        yield under_way
        for future in under_way.values():
            future.cancel()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_one_task_is_started(outcomes: dict[Case, Future[Outcome]], case: Case) -> None:
    """One process dies, VOD has started one task, Airflow gets its result, and the inbox says that it was handed over."""
    outcome = outcomes[case].result(600)
    assert outcome.problems() == []


def test_the_campaign_is_whole() -> None:
    """The full form has every step in each trouble, at least 500 cases; this one has each step and each trouble."""
    assert len(set(all_cases())) >= 500
    assert {case.step for case in CASES} == set(STEPS)
    assert {case.trouble for case in CASES} == set(TROUBLES)
