"""What README and docs show is what happens: their examples, run against the emulator.

An operator that stands outside of a DAG becomes part of one that the test makes for its page.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from airflow.sdk import DAG, Asset
from airflow.sdk.definitions._internal.contextmanager import DagContext

from airflow_vod.cli.main import main
from airflow_vod.emulator import Emulator, EmulatorOptions
from airflow_vod.events.results import TaskResult
from airflow_vod.hooks.config import inbox_url, open_inbox
from airflow_vod.inbox.database import parse
from airflow_vod.operators.storage import VodToObjectStorageOperator
from airflow_vod.waiting.watch import watches
from tests.airflow_fixtures import INBOX_OPTION
from tests.dag_runs import make_known, run_whole
from tests.doc_examples import PAGES, Example, examples, of_language

pytestmark = pytest.mark.usefixtures("airflow_db")

NOT_RUN = 19  # examples that may not be run
PROCESSED = {"bash", "console", "dockerfile", "ini", "json", "python", "sql", "yaml"}
DRAWINGS = {"README.md", "docs/concepts.md"}
EMULATOR = "http://127.0.0.1:9900"  # in the docs
KEY = "24FEQmTzro4V5u3D5epW"


@pytest.fixture
def vod_emulator_options() -> EmulatorOptions:
    """Files that can be fetched, on a domain with hotlink protection.

    A trigger that `dag.test()` runs ends with a pull open; what VOD hands out to that one is soon there again.
    """
    return EmulatorOptions(
        hold=0.2, visibility=2, task_seconds=0.2, event_switches="ON", serve_media=True, playback_key=KEY
    )


@pytest.fixture
def vod_here(vod_conn: Emulator) -> Iterator[Emulator]:
    """The emulator, with what examples name: splices that have ended, a media file, and tasks of DAGs that wait."""
    for number in range(20):
        vod_conn.publish_concat(f"Concat-{number}", [f"http://example.com/{number}.mp4"])
    vod_conn.add_media(file_id="5285890784246869930")
    yield vod_conn
    for watch in watches():
        watch.end()
        watch.join()
    open_inbox(inbox_url()).close()
    open_inbox.cache_clear()


def test_each_is_run_or_says_why_not() -> None:
    """Every example has a language that is run or checked; those that are not say why, and are few."""
    every = [each for page in PAGES for each in examples(page)]
    not_run = [each for each in every if each.why_not]
    others = [each for each in every if not each.why_not and each.language not in PROCESSED]
    assert {each.page for each in others} == DRAWINGS
    assert all(len(each.why_not) > 10 for each in not_run)
    assert len(not_run) <= NOT_RUN, [(each.page, each.line) for each in not_run]
    assert len(every) > 3 * len(not_run)


@pytest.mark.parametrize("page", of_language("python"))
def test_python(page: str, vod_here: Emulator, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The Python of a page works, block after block; its DAGs succeed, its tests pass, its watchers fire."""
    named: dict[str, Any] = {"__name__": "example"}
    known = set(DagContext.autoregistered_dags)
    request.getfixturevalue("monkeypatch").setattr(DagContext, "current_autoregister_module_name", __name__)
    dag_id = re.sub(r"\W", "_", page)
    with DAG(dag_id, schedule=None, params={"vod_task_id": "Concat-1"}):
        for example in of_language("python")[page]:
            run_block(example, named, vod_here, tmp_path, request.getfixturevalue("monkeypatch"))
    tests = {name: value for name, value in named.items() if name.startswith("test_")}
    names = {id(value): name for name, value in named.items() if isinstance(value, DAG)}
    dags = [dag for dag, _ in DagContext.autoregistered_dags - known if dag.tasks]
    for dag in dags:
        for task in dag.tasks:
            if isinstance(task, VodToObjectStorageOperator):
                task.allow_private_addresses = True  # the emulator is on this machine
        if any(f"{names.get(id(dag))}.test(" in inspect.getsource(test) for test in tests.values()):
            make_known(dag)
        elif not dag.timetable.asset_condition:
            assert run_whole(dag).state == "success", dag.dag_id
    for test in tests.values():
        test(**{each: request.getfixturevalue(each) for each in inspect.signature(test).parameters})
    for asset in (each for each in named.values() if isinstance(each, Asset)):
        for watcher in asset.watchers:
            asyncio.run(fires(watcher.trigger, vod_here))


def run_block(
    example: Example, named: dict[str, Any], vod: Emulator, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Execute a block of Python; one that begins with the name of a file is a module for those after it."""
    text = example.text.replace("s3://aws_default@bucket", f"file://{home}").replace(EMULATOR, vod.endpoint)
    file = home / f"example_{example.line}.py"
    file.write_text(text)
    exec(compile(text, file, "exec"), named)
    if named_file := re.match(r"# ([\w/]+)\.py\n", text):
        path = named_file[1].replace("/", ".")
        module = ModuleType(path)
        vars(module).update(named)
        if folder := path.rpartition(".")[0]:
            package = ModuleType(folder)
            package.__path__ = []
            monkeypatch.setitem(sys.modules, folder, package)
        monkeypatch.setitem(sys.modules, path, module)


async def fires(trigger: Any, vod: Emulator) -> None:
    """Let uploads happen until a watcher has told of one: it begins with what comes after it has begun."""
    told = asyncio.ensure_future(anext(trigger.run()))
    for number in range(120):
        vod.publish({"EventType": "NewFileUpload", "FileUploadEvent": {"FileId": str(number)}})
        done, _ = await asyncio.wait([told], timeout=0.5)
        if done:
            break
    event = await asyncio.wait_for(told, 1)
    assert event.payload["event_type"] == "NewFileUpload"


@pytest.mark.parametrize("page", of_language("bash"))
def test_shell(
    page: str, vod_here: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The shell lines of a page succeed, one after the other, in a home of their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "vod_inbox").write_text(os.environ[INBOX_OPTION])
    for example in of_language("bash")[page]:
        text = example.text.replace(EMULATOR, vod_here.endpoint).replace("/run/secrets/", f"{tmp_path}/")
        if re.search(r"^(export|airflow-vod) ", text, re.MULTILINE):
            for words in filter(None, (shlex.split(line, comments=True) for line in text.splitlines())):
                run_command(words, vod_here, monkeypatch)
        else:
            bash(text)


def run_command(words: list[str], vod: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run one line: in this process, because each start of Airflow takes seconds."""
    if words[0] == "airflow-vod":
        assert main(words[1:]) == 0, words
        return
    assert words[0] == "export", words
    name, _, value = words[1].partition("=")
    if name == INBOX_OPTION:
        assert parse(value).get_backend_name() == "postgresql"
    elif name.startswith("AIRFLOW__API__"):
        monkeypatch.setenv(name, value)
    elif name.startswith("AIRFLOW_CONN_"):
        here = json.loads(vod.airflow_connection())
        connection = json.loads(value)
        assert connection.keys() <= here.keys()
        monkeypatch.setenv(name, json.dumps(connection | {key: here[key] for key in ("login", "password", "host")}))
    else:
        url = os.environ[INBOX_OPTION]
        with monkeypatch.context() as alone:
            alone.delenv(INBOX_OPTION)
            alone.setenv(name, value)
            assert inbox_url() == url


def bash(text: str) -> str:
    """Run lines in a shell in which a request that is refused is a failure; answer what they print."""
    strict = f'set -eu\ncurl() {{ command curl --silent --show-error --fail-with-body "$@"; }}\n{text}'
    done = subprocess.run(["bash", "-c", strict], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("page", of_language("console"))
def test_console(page: str) -> None:
    """What a terminal shows after each command is what the command prints."""
    for example in of_language("console")[page]:
        with Emulator() as vod:
            for shown in re.split(r"^\$ ", example.text, flags=re.MULTILINE)[1:]:
                command, _, output = shown.partition("\n")
                if command.startswith("airflow-vod emulator"):
                    continue
                assert bash(command.replace(EMULATOR, vod.endpoint)).strip() == output.strip(), command


@pytest.mark.parametrize("page", of_language("json", "yaml", "ini"))
def test_data(page: str) -> None:
    """JSON and YAML are that; a result has the keys of a result; what is to be run are commands of ours."""
    for example in of_language("json", "yaml", "ini")[page]:
        if example.language == "json":
            value = json.loads(example.text)
            if "outcome" in value:
                assert TaskResult.from_dict(value).to_dict() == value
        elif example.language == "yaml":
            assert isinstance(yaml.safe_load(example.text), dict)
        else:
            assert all("=" in line or line.startswith("[") for line in example.text.splitlines() if line)
