"""The documentation as a site: it builds without a warning, needs nothing from outside, and its reference lacks nothing."""

from __future__ import annotations

import ast
import contextlib
import html
import importlib
import inspect
import io
import re
import sys
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import BaseHook, BaseOperator
from airflow.triggers.base import BaseTrigger
from sphinx.cmd.build import build_main

from airflow_vod import emulator, exceptions, testing
from airflow_vod.get_provider_info import EXTRA_FIELDS, RENAMED_FIELDS, get_provider_info
from tests.doc_examples import ROOT

sys.path.insert(0, str(ROOT / "docs" / "_ext"))

import vod_reference

INFO = get_provider_info()
WORKS = ("operators", "sensors")
_KINDS = (BaseOperator, BaseHook, BaseTrigger, Exception)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does, but in this process, which has imported Airflow already."""
    out = tmp_path_factory.mktemp("site")
    words = ["-E", "-W", "--keep-going", "-q", "-b", "html", "docs", str(out)]
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as alone, contextlib.redirect_stderr(said), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are of the tools that build it; the site's own are errors all the same
        alone.chdir(ROOT)
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            alone.setenv(name, "http://127.0.0.1:9")  # no proxy leads anywhere: what would fetch something fails
        status = build_main(words)
    assert status == 0, said.getvalue()
    return out


def text_of(site: Path, page: str) -> str:
    """Answer what a reader sees of a page."""
    article = re.search(r"<article.*?</article>", (site / page).read_text(), flags=re.DOTALL)
    assert article is not None
    return html.unescape(re.sub(r"<[^>]+>", "", article[0]))


def sections(site: Path) -> dict[str, str]:
    """Answer the text of each documented object, by its name."""
    found = {}
    for page in (site / "reference").glob("*.html"):
        for part in re.split(r'<dt class="sig sig-object py" id="', page.read_text())[1:]:
            name, _, rest = part.partition('"')
            found[name] = html.unescape(re.sub(r"<[^>]+>", "", rest[rest.index(">") + 1 :]))
    return found


def public_classes(*rooms: str) -> Iterator[type]:
    """Answer the classes that Airflow is told of, by the provider's description."""
    for room in rooms:
        for path in INFO[room][0]["python-modules"]:
            module = importlib.import_module(path)
            yield from (
                value
                for name, value in vars(module).items()
                if inspect.isclass(value) and issubclass(value, _KINDS) and value.__module__ == path and name[0] != "_"
            )


def own_parameters(cls: type) -> Iterator[str]:
    """Answer the parameters that a class takes and that this package defines."""
    not_taken = [each for base in cls.__mro__ for each in vod_reference._NOT_TAKEN.get(base.__name__, ())]
    for base in cls.__mro__:
        if base.__module__.startswith("airflow_vod.") and "__init__" in vars(base):
            for name, parameter in inspect.signature(vars(base)["__init__"]).parameters.items():
                if name != "self" and parameter.kind is not parameter.VAR_KEYWORD and name not in not_taken:
                    yield name


def test_it_needs_nothing_from_outside(site: Path) -> None:
    """No page loads a script, a style or a picture from another host; other sites can refer to what is in it."""
    for page in site.rglob("*.html"):
        assert not re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(?:https?:)?//[^"]*"', page.read_text()), page
    assert (site / "objects.inv").exists()


def test_every_public_class_is_there(site: Path) -> None:
    """Each public class, fixture and error is in the reference, and in the inventory by which other sites refer to it."""
    public = {
        f"{each.__module__}.{each.__qualname__}" for each in public_classes("operators", "sensors", "hooks", "triggers")
    }
    public |= {*INFO["queues"], *INFO["extra-links"]}
    public |= {f"airflow_vod.emulator.{name}" for name in emulator.__all__}
    public |= {f"airflow_vod.exceptions.{name}" for name in errors()}
    public |= {f"airflow_vod.testing.{name}" for name in vars(testing) if name.startswith("vod_")}
    public |= {f"airflow_vod.events.results.{name}" for name in ("TaskResult", "ResultFile", "Finding", "Outcome")}
    content = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    listed = {line.split(" ")[0] for line in zlib.decompress(content).decode().splitlines()}
    assert public - listed == set()


def errors() -> list[str]:
    """Answer the names of all errors of this package."""
    return [
        name
        for name, value in vars(exceptions).items()
        if inspect.isclass(value) and issubclass(value, exceptions.VodError)
    ]


@pytest.mark.parametrize("cls", public_classes("operators", "sensors", "triggers"), ids=lambda each: each.__name__)
def test_every_parameter_is_explained(site: Path, cls: type) -> None:
    """Each parameter that this package gives a class stands at that class, with an explanation."""
    if issubclass(cls, Exception):
        return
    text = sections(site)[f"{cls.__module__}.{cls.__qualname__}"]
    explained = re.findall(r"^\s*(\w+)\s+–\s+\S", text, flags=re.MULTILINE)
    of_bases = cls.__module__.split(".")[1] == "triggers"  # a trigger refers to what its base explains
    wanted = set(inspect.signature(cls).parameters) - {"kwargs"} if of_bases else set(own_parameters(cls))
    assert wanted - set(explained) == set()


@pytest.mark.parametrize("cls", public_classes(*WORKS), ids=lambda each: each.__name__)
def test_each_sensor_and_operator_shows_its_import_and_connection(site: Path, cls: type) -> None:
    """At each stand the line that imports it, `vod_conn_id` and `sub_app_id`."""
    text = sections(site)[f"{cls.__module__}.{cls.__qualname__}"]
    assert f"from {cls.__module__} import {cls.__qualname__}" in text
    if hasattr(cls, "execute"):
        assert re.search(r"vod_conn_id\s+–", text)
        assert re.search(r"sub_app_id\s+–", text)


def test_every_field_and_option_is_there(site: Path) -> None:
    """Each field of the connection, former names included, and each option stands on its page."""
    options = INFO["config"]["tencent_vod"]["options"]
    for page, names in {"connection": (*EXTRA_FIELDS, *RENAMED_FIELDS), "configuration": options}.items():
        rows = re.findall(
            r'<tr[^>]*><td[^>]*><p><code[^>]*><span class="pre">(\w+)', (site / f"{page}.html").read_text()
        )
        assert set(names) - set(rows) == set()


def test_every_flag_is_there(site: Path) -> None:
    """Each subcommand stands on the page of the command, with each of its arguments."""
    text = text_of(site, "reference/cli.html")
    parsers = list(vod_reference.parsers())
    assert {parser.prog for parser in parsers} >= {
        "airflow-vod doctor",
        "airflow-vod relay run",
        "airflow-vod emulator",
    }
    for parser in parsers:
        part = text.partition(f"{parser.prog}¶")[2].partition("¶")[0]
        assert part, parser.prog
        for action in parser._actions:
            for flag in set(action.option_strings) - {"-h", "--help"}:
                assert re.search(rf"{flag}\b", part), (parser.prog, flag)


def test_every_metric_is_there(site: Path) -> None:
    """Each number that the code sends stands on the page of metrics; each that an alert rule names is sent."""
    sent = {
        node.args[0].value
        for file in (ROOT / "airflow_vod").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
        and re.fullmatch(r"metrics\.(count|gauge|timing)", ast.unparse(node.func))
        and isinstance(node.args[0], ast.Constant)
    }
    assert len(sent) > 10
    text = text_of(site, "reference/metrics.html")
    assert [name for name in sent if f"tencent_vod.{name}" not in text] == []
    named = re.findall(r"airflow_tencent_vod_(\w+)", (ROOT / "docs" / "operations.md").read_text())
    assert set(named) - {name.replace(".", "_") for name in sent} == set()


def test_every_route_is_there(site: Path) -> None:
    """Each path that the API server and the emulator serve stands on its page."""
    from airflow_vod.emulator.app import create_app as emulator_app
    from airflow_vod.web.app import create_app

    text = text_of(site, "reference/routes.html")
    paths = {route.path.replace("/{token}", "[/{token}]") for route in create_app().routes}
    assert [path for path in paths - {"/docs", "/redoc", "/docs/oauth2-redirect"} if path not in text] == []
    source = inspect.getsource(emulator_app)
    text = text_of(site, "reference/emulator.html")
    assert [path for path in re.findall(r'"(/_emulator/[\w/]+)"', source) if path not in text] == []
