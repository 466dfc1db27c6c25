"""What Airflow discovers, checked by Airflow's own schema and against the code that it describes."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import airflow
import jsonschema
import pytest
from airflow.sdk import BaseOperator, BaseOperatorLink, BaseSensorOperator, Connection
from airflow.triggers.base import BaseTrigger

import airflow_vod
from airflow_vod.get_provider_info import EXTRA_FIELDS, RENAMED_FIELDS, SECRET_FIELDS, get_provider_info
from airflow_vod.hooks import config
from airflow_vod.hooks import vod as hooks
from airflow_vod.hooks.vod import VodHook
from airflow_vod.links import vod as links
from airflow_vod.tencent.settings import CONFIRM_POLICIES, VodSettings

INFO = get_provider_info()
[CONNECTION] = INFO["connection-types"]
LINKS: list[str] = INFO["extra-links"]
ROOT = Path(__file__).parents[2]
PACKAGE = Path(airflow_vod.__file__).parent  # of the wheel, where that is what is tested


def test_airflow_accepts_it() -> None:
    """It is valid by the schema that Airflow checks providers with."""
    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())
    jsonschema.validate(INFO, schema)


def test_airflow_finds_it() -> None:
    """The entry point leads here, and the package name is the distribution's, or Airflow refuses it."""
    points = entry_points(group="apache_airflow_provider")
    [point] = [each for each in points if each.module.startswith("airflow_vod.")]
    assert point.load()() == INFO
    assert point.dist is not None
    assert point.dist.name == INFO["package-name"]


@pytest.mark.parametrize(
    ("section", "folder", "base"),
    [
        ("operators", "operators", BaseOperator),
        ("sensors", "sensors", BaseSensorOperator),
        ("hooks", "hooks", VodHook),
        ("triggers", "triggers", BaseTrigger),
    ],
)
def test_every_module_is_declared(section: str, folder: str, base: type) -> None:
    """Those modules of a folder are declared, and no others, that hold public classes of what the section promises."""
    declared = {name for entry in INFO[section] for name in entry["python-modules"]}
    names = {f"airflow_vod.{folder}.{file.stem}" for file in (PACKAGE / folder).glob("[!_]*.py")}
    assert declared == {name for name in names if _public_classes(name, base)}


def _public_classes(module: str, base: type) -> list[str]:
    classes = inspect.getmembers(importlib.import_module(module), inspect.isclass)
    own = (kind for _, kind in classes if issubclass(kind, base) and kind.__module__ == module)
    return [kind.__name__ for kind in own if not kind.__name__.startswith("_")]


def test_every_link_is_declared() -> None:
    """The links that Airflow may show are those that the tasks have."""
    declared = [getattr(importlib.import_module(path.rpartition(".")[0]), path.rpartition(".")[2]) for path in LINKS]
    assert declared == [type(link) for link in links.LINKS]
    assert all(issubclass(kind, BaseOperatorLink) and kind.__module__ == links.__name__ for kind in declared)


def test_the_queue_is_declared() -> None:
    """The class that Airflow is to load for the queue's scheme exists."""
    [path] = INFO["queues"]
    module, _, name = path.rpartition(".")
    assert getattr(importlib.import_module(module), name).scheme == "tencent-vod"


def test_the_connection_is_the_hook_s() -> None:
    """Type, name and class are those that the hook itself states."""
    module, _, name = CONNECTION["hook-class-name"].rpartition(".")
    assert getattr(importlib.import_module(module), name) is VodHook
    assert (CONNECTION["connection-type"], CONNECTION["hook-name"]) == (VodHook.conn_type, VodHook.hook_name)


def test_the_page_on_the_connection_has_every_field() -> None:
    """It lists each field, says of the secret ones that they are, and lists each former name."""
    page = (ROOT / "docs" / "connection.md").read_text()
    rows = {cells[1].strip(): cells for cells in (line.split("|") for line in page.splitlines()) if len(cells) > 2}
    assert set(EXTRA_FIELDS) == {name.strip("`") for name in rows if name.startswith("`")} - set(RENAMED_FIELDS)
    assert {name for name in EXTRA_FIELDS if rows[f"`{name}`"][-2].strip() == "yes"} == SECRET_FIELDS
    assert {old: rows[f"`{old}`"][2].strip(" `") for old in RENAMED_FIELDS} == RENAMED_FIELDS


def test_everything_names_the_same_fields() -> None:
    """Form and settings have the extra fields of the table, and no others."""
    login_password_host = {"secret_id", "secret_key", "endpoint"}
    assert CONNECTION["conn-fields"] is EXTRA_FIELDS
    assert {field.name for field in dataclasses.fields(VodSettings)} - login_password_host == set(EXTRA_FIELDS)


@pytest.mark.parametrize("name", EXTRA_FIELDS)
def test_the_hook_takes_every_field(name: str) -> None:
    """A value under the name of a field in a connection's extra is the settings' value."""
    values = {
        "sub_app_id": 7,
        "confirm_policy": "awaited",
        "proxy": "http://host:1",
        "verify": "/ca.pem",
        "playback_secret": "eight2to20",
    }
    value = values.get(name, "sixteen0letters0and0more")
    connection = Connection(
        conn_id="c", conn_type="tencent_vod", login="AKID", password="key", extra=json.dumps({name: value})
    )
    assert getattr(hooks.settings_of(connection, connection.extra_dejson), name) == value


def test_the_form_of_the_fields() -> None:
    """Secrets are shown as passwords, each field is explained, and choices and defaults are those of the settings."""
    fields = CONNECTION["conn-fields"]
    secret = {name for name, field in fields.items() if field["schema"].get("format") == "password"}
    assert secret == {field.name for field in dataclasses.fields(VodSettings) if not field.repr} - {"secret_key"}
    assert all(field["label"] and field["description"] for field in fields.values())
    policy = fields["confirm_policy"]["schema"]
    assert (tuple(policy["enum"]), policy["default"]) == (CONFIRM_POLICIES, VodSettings().confirm_policy)
    assert CONNECTION["ui-field-behaviour"]["placeholders"]["host"] == VodSettings().endpoint


def test_every_option_that_is_read_is_declared() -> None:
    """The options that the hook reads are declared, the URL of the inbox as sensitive."""
    options: dict[str, Any] = INFO["config"]["tencent_vod"]["options"]
    source = inspect.getsource(config)
    assert {name for name in options if f'"{name}"' in source} == set(options)
    assert source.count('"tencent_vod", "') == len(options)
    assert options["inbox_sql_alchemy_conn"]["sensitive"]
