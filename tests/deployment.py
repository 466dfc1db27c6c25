"""The files that the docs show for deployment, read by the programs and schemas of those who will read them.

    make test-deployment

Needs Debian's packages systemd and prometheus, and installs two packages for Kubernetes and Compose into an environment of its
own. Invariant: what is checked is the text of the documents, not a copy of it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import yaml

from tests.doc_examples import ROOT, Example, examples

PACKAGES = ("kubernetes==37.0.2", "check-jsonschema==0.39.0")
OF_KUBERNETES = """
import json, sys
from kubernetes import client

given = json.load(sys.stdin)
api = client.ApiClient()
read = api.deserialize(json.dumps(given), "V1" + given["kind"], "application/json")
assert api.sanitize_for_serialization(read) == given, "a field has a name that Kubernetes does not know"
"""


def main() -> int:
    """Check each file; say which were."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        venv.create(home / "venv", with_pip=True)
        _run(str(home / "venv/bin/pip"), "install", "--quiet", "--disable-pip-version-check", *PACKAGES)
        found = dict.fromkeys(CHECKS, 0)
        for example in (each for page in ("deployment", "operations") for each in examples(ROOT / f"docs/{page}.md")):
            if kind := kind_of(example):
                CHECKS[kind](example.text, home)
                found[kind] += 1
                print(f"{example.page}:{example.line}: {kind}: ok")
    if lost := [kind for kind, number in found.items() if not number]:
        print(f"The docs show no {' and no '.join(lost)}.")
    return bool(lost)


def kind_of(example: Example) -> str | None:
    """Say what reads an example; None for what nobody does here."""
    if example.language == "ini" and "ExecStart=" in example.text:
        return "systemd unit"
    value = yaml.safe_load(example.text) if example.language == "yaml" else {}
    if "apiVersion" in value:
        return "Kubernetes manifest"
    if "groups" in value:
        return "Prometheus rules"
    return "Compose environment" if all(name.startswith("AIRFLOW_") for name in value) and value else None


def check_unit(text: str, home: Path) -> None:
    """Let systemd read a unit, whose program is one that this machine has."""
    unit = home / "airflow-vod-relay.service"
    program = next(line for line in text.splitlines() if line.startswith("ExecStart=")).partition("=")[2].split()[0]
    unit.write_text(text.replace(program, str(Path(sys.executable).with_name("airflow-vod"))))
    said = _run("systemd-analyze", "verify", str(unit))
    assert unit.name not in said, said


def check_manifest(text: str, home: Path) -> None:
    """Let Kubernetes' client read a manifest and write it again: fields that it does not know are lost there."""
    _run(str(home / "venv/bin/python"), "-c", OF_KUBERNETES, given=json.dumps(yaml.safe_load(text)))


def check_environment(text: str, home: Path) -> None:
    """Hold the environment of a service against the schema of Compose."""
    file = home / "compose.yaml"
    file.write_text(yaml.safe_dump({"services": {"airflow": {"image": "a", "environment": yaml.safe_load(text)}}}))
    _run(str(home / "venv/bin/check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(file))


def check_rules(text: str, home: Path) -> None:
    """Let Prometheus read alert rules, expressions and templates included."""
    file = home / "rules.yaml"
    file.write_text(text)
    _run("promtool", "check", "rules", str(file))


CHECKS = {
    "systemd unit": check_unit,
    "Kubernetes manifest": check_manifest,
    "Compose environment": check_environment,
    "Prometheus rules": check_rules,
}


def _run(*command: str, given: str = "") -> str:
    """Run a program to its end, and answer what it says."""
    if shutil.which(command[0]) is None:
        raise SystemExit(f"There is no {command[0]}: apt-get install systemd prometheus")
    done = subprocess.run(command, input=given, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


if __name__ == "__main__":
    sys.exit(main())
