"""The wheel, installed as a user installs it, seen through Airflow's own eyes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from airflow_vod import __version__
from airflow_vod.emulator import Emulator
from airflow_vod.get_provider_info import get_provider_info
from tests import airflow_home
from tests.project import build_wheel

DISTRIBUTION = get_provider_info()["package-name"]
LOOK = """
import json
from airflow.providers_manager import ProvidersManager
from airflow.configuration import conf
from airflow_vod.hooks.config import inbox_url

manager = ProvidersManager()
manager.initialize_providers_hooks()
conf.load_providers_configuration()
behaviour = manager.field_behaviours["tencent_vod"]
print("ANSWER", json.dumps({
    "widgets": sorted(name for name in manager.connection_form_widgets if name.startswith("extra__tencent_vod__")),
    "relabeling": behaviour["relabeling"],
    "hidden": behaviour["hidden_fields"],
    "sensitive": ("tencent_vod", "inbox_sql_alchemy_conn") in conf.sensitive_config_values,
    "inbox": inbox_url(),
    "shown": conf.as_dict(display_sensitive=False)["tencent_vod"]["inbox_sql_alchemy_conn"],
}))
"""
BACKEND = """
from airflow.secrets import BaseSecretsBackend

class Backend(BaseSecretsBackend):
    def get_config(self, key):
        return {"where the inbox is": "sqlite:////by-secret.db"}.get(key)
"""


class Installation:
    """A virtual environment with the wheel in it, and an AIRFLOW_HOME."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.home = folder / "home"
        self.site = _virtual_environment(folder / "venv")
        self.python = folder / "venv" / "bin" / "python"
        self.environment = airflow_home.environment(self.home)
        self.environment.pop("PYTHONPATH", None)
        airflow_home.migrate(self.home)
        self.run("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel))

    def run(self, *words: str, **environment: str) -> str:
        """Run its Python, outside of the checkout, and return the output."""
        command = [str(self.python), *words]
        done = subprocess.run(
            command, env=self.environment | environment, cwd=self.home, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{words}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def airflow(self, *words: str, **environment: str) -> str:
        """Run its ``airflow``."""
        return self.run("-m", "airflow", *words, **environment)


def _virtual_environment(folder: Path) -> Path:
    """Make a virtual environment that has what this one has, but not this project."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    [site] = folder.glob("lib/python*/site-packages")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        ours = "airflow_vod" in entry.name or DISTRIBUTION.replace("-", "_") in entry.name
        if not ours and not (site / entry.name).exists():
            (site / entry.name).symlink_to(entry)
    return site


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this checkout."""
    return build_wheel(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def installed(airflow_db: None, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A fresh installation of it."""
    return Installation(tmp_path_factory.mktemp("installed"), wheel)


def test_airflow_sees_it(installed: Installation) -> None:
    """Airflow lists the provider, its hook, its connection form and its options, each by its own command or manager."""
    with ThreadPoolExecutor(2) as both:
        provider = both.submit(installed.airflow, "providers", "get", DISTRIBUTION, "--output", "json")
        hooks = both.submit(installed.airflow, "providers", "hooks", "--output", "json")
        look = both.submit(_look, installed)
        [row] = json.loads(provider.result())
        assert (row["Provider"], row["Version"]) == (DISTRIBUTION, __version__)
        [hook] = [row for row in json.loads(hooks.result()) if row["connection_type"] == "tencent_vod"]
        assert hook["class"] == "airflow_vod.hooks.vod.VodHook"
        assert hook["hook_name"] == "Tencent Cloud VOD"
        seen = look.result()
    fields = ("confirm_policy", "proxy", "region", "role_arn", "role_session_name", "sub_app_id", "token", "verify")
    assert {f"extra__tencent_vod__{name}" for name in fields} <= set(seen["widgets"])
    assert seen["relabeling"] == {"login": "SecretId", "password": "SecretKey", "host": "Endpoint"}
    assert set(seen["hidden"]) >= {"schema", "port"}


def _look(installed: Installation, **environment: str) -> dict[str, Any]:
    return json.loads(installed.run("-c", LOOK, **environment).rpartition("ANSWER ")[2])


def test_where_the_inbox_is(installed: Installation) -> None:
    """The option can be given by value, by a command and by a secret, and Airflow never shows it."""
    (installed.home / "vod_test_backend.py").write_text(BACKEND)
    name = "AIRFLOW__TENCENT_VOD__INBOX_SQL_ALCHEMY_CONN"
    ways = {
        "sqlite:////by-value.db": {name: "sqlite:////by-value.db"},
        "sqlite:////by-command.db": {f"{name}_CMD": "echo sqlite:////by-command.db"},
        "sqlite:////by-secret.db": {
            f"{name}_SECRET": "where the inbox is",
            "AIRFLOW__SECRETS__BACKEND": "vod_test_backend.Backend",
            "AIRFLOW__WORKERS__SECRETS_BACKEND": "vod_test_backend.Backend",
            "PYTHONPATH": str(installed.home),
        },
    }
    with ThreadPoolExecutor(2) as both:
        seen = dict(zip(ways, both.map(lambda way: _look(installed, **way), ways.values()), strict=True))
        shown = both.submit(
            installed.airflow,
            "config",
            "get-value",
            "tencent_vod",
            "inbox_sql_alchemy_conn",
            **ways["sqlite:////by-value.db"],
        )
    assert {way: each["inbox"] for way, each in seen.items()} == {way: way for way in ways}
    assert all(each["sensitive"] for each in seen.values())
    assert {each["shown"] for each in seen.values()} == {"< hidden >"}
    assert shown.result().split()[-1] == "sqlite:////by-value.db"


def test_the_test_button(installed: Installation) -> None:
    """``airflow connections test`` answers in the hook's words."""
    with Emulator() as vod:
        answer = installed.airflow(
            "connections",
            "test",
            "vod_default",
            AIRFLOW_CONN_VOD_DEFAULT=vod.airflow_connection(),
            AIRFLOW__CORE__TEST_CONNECTION="Enabled",
        )
    assert "Connection success!" in answer


def test_the_demo(installed: Installation) -> None:
    """``airflow-vod demo`` runs the example DAG that came with the wheel, and everything is as it should be."""
    demo = installed.python.parent / "airflow-vod"
    done = subprocess.run(
        [demo, "demo"],
        env=installed.environment,
        cwd=installed.home,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILED" not in done.stdout
    assert done.stdout.count("  ok    ") == 5
    assert re.search(r"^  \| Publishing http://\S+/f0\.mp4$", done.stdout, re.MULTILINE)
    assert str(installed.site / "airflow_vod" / "example_dags") in done.stdout
