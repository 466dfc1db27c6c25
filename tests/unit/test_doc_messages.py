"""Messages that troubleshooting and operations quote are the ones that the code says, and commands that they name exist."""

from __future__ import annotations

import ast
import functools
import inspect
import pickle
import re
import shlex
from pathlib import Path

import pytest

from airflow_vod import exceptions
from airflow_vod.cli.main import _parser
from airflow_vod.emulator.command import _parser as emulator_parser
from airflow_vod.get_provider_info import get_provider_info
from airflow_vod.sensors.endings import WAIT_TIMED_OUT
from airflow_vod.sensors.vod import VodTaskFailedError
from tests.doc_examples import PAGES, ROOT

_WORDS = 3  # from which on a quoted text in a table is taken for a message
_VALUES = (
    *("pull events from queue …", "commit events of queue … to the inbox", "as told"),
    *("SecretId", "SecretKey", "inbox_sql_alchemy_conn", "tencent_vod"),
)
"""What pages show in place of …: texts that the code puts into its messages."""
_OURS = re.compile(r"^## (?:Errors by name|Log lines|Runbooks)\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)


@functools.cache
def said() -> str:
    """Everything that the code may say, one text a line, with … where a value goes."""
    return "\n".join(
        text
        for file in sorted((ROOT / "airflow_vod").rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.JoinedStr | ast.Constant | ast.BinOp) and (text := _text(node))
    )


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.BinOp):
        return _text(node.left) + _text(node.right)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) if isinstance(part, ast.Constant) else "…" for part in node.values)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"%\.?\d*[a-z]", "…", node.value).replace("\n", " ")
    return ""


def quoted(page: Path) -> list[str]:
    """Answer the messages of ours in the first column of a page's tables."""
    ours = "".join(_OURS.findall(page.read_text()))
    cells = re.findall(r"^\| (.*?) \|", ours, flags=re.MULTILINE)
    texts = [text for cell in cells for text in re.findall(r"`([^`]+)`", cell)]
    return [text for text in texts if len(text.split()) >= _WORDS and not text.startswith("airflow-vod ")]


MESSAGES = sorted({text for name in ("troubleshooting", "operations") for text in quoted(ROOT / "docs" / f"{name}.md")})


ERRORS = [
    *(each for each in vars(exceptions).values() if inspect.isclass(each) and issubclass(each, exceptions.VodError)),
    VodTaskFailedError,
]


def explanations() -> dict[str, str]:
    """Answer what troubleshooting says below each name of an error."""
    [ours] = _OURS.findall((ROOT / "docs" / "troubleshooting.md").read_text())
    return dict(re.findall(r"^### ([^\n]+)\n(.*?)(?=^### |\Z)", ours, flags=re.DOTALL | re.MULTILINE))


def test_every_error_has_its_explanation() -> None:
    """Each error has a name of its own, and each name a heading in troubleshooting that tells its class; none is left over."""
    names = {each.anchor: each.__name__ for each in ERRORS} | {WAIT_TIMED_OUT: "AirflowSensorTimeout"}
    assert len(names) == len(ERRORS) + 1
    found = explanations()
    assert set(names) == set(found)
    for name, kind in names.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)+", name)
        assert f"`{kind}`" in found[name]
        assert len(found[name].split()) > 7, name


@pytest.mark.parametrize("kind", ERRORS, ids=lambda each: each.__name__)
def test_every_message_ends_with_its_name(kind: type[exceptions.ExplainedError]) -> None:
    """Whatever is added to an error, and however it comes from a trigger: people read its name at the end, once."""
    arguments = ("PullEvents", "Code", "Some text") if issubclass(kind, exceptions.VodApiError) else ("Some text.",)
    error = kind(*arguments)
    if isinstance(error, exceptions.VodError):
        error = exceptions.error_from_dict(exceptions.error_to_dict(error)).during("Task a waited.")
        assert str(error).endswith(f". Task a waited. [{kind.anchor}]")
    assert str(error).count("[") == 1
    assert str(error) == f"{error.text} [{kind.anchor}]"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_there_are_messages() -> None:
    """The pages quote dozens of them."""
    assert len(MESSAGES) > 50


@pytest.mark.parametrize("message", MESSAGES)
def test_message_is_said(message: str) -> None:
    """Every part of a quoted message between the values in it is a text of the code."""
    for value in _VALUES:
        assert value in said()
        message = message.replace(value, "…")
    for part in message.removeprefix("Connection …: ").split("…"):
        words = part.strip(" ()[]:,")
        assert len(words) < 5 or words in said(), f"no text of the code has {words!r}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_exist(page: Path) -> None:
    """Every `airflow-vod …` that a page names is a command with these flags; every variable of ours is an option."""
    text = page.read_text()
    for written in re.findall(r"(?:^\$ |^|`|ExecStart=\S*/|-- )airflow-vod((?: [^`#\n]+)?)", text, flags=re.MULTILINE):
        words = shlex.split(written.replace("…", "x").replace("POSITION", "1"))
        if not words or words[-1] in ("&", "\\") or words == ["events"]:
            words = words[:-1]
        if not words:
            continue
        parser, rest = (emulator_parser(), words[1:]) if words[0] == "emulator" else (_parser(), words)
        if rest != ["--help"]:
            parser.parse_args(rest)
    options = get_provider_info()["config"]["tencent_vod"]["options"]
    for name in re.findall(r"AIRFLOW__TENCENT_VOD__(\w+)", text):
        assert re.sub(r"_(cmd|secret)$", "", name.lower()) in options
