"""What the docs show for deployment and alerts fits together, and runs what is there; `tests.deployment` lets others read it."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
import yaml

from airflow_vod.cli.main import _parser
from tests.doc_examples import ROOT, examples

DEPLOYMENT, OPERATIONS = (ROOT / "docs" / f"{name}.md" for name in ("deployment", "operations"))
SHOWN = examples(DEPLOYMENT)


def documents() -> dict[str, Any]:
    """Answer the YAML of the page on deployment, by what it is for."""
    read = [yaml.safe_load(each.text) for each in SHOWN if each.language == "yaml"]
    names = ["manifest" if "apiVersion" in each else "helm" if "images" in each else "compose" for each in read]
    assert sorted(names) == ["compose", "helm", "manifest"]
    return dict(zip(names, read, strict=True))


def commands() -> list[list[str]]:
    """Answer the words after `airflow-vod`, wherever the page lets something run it."""
    texts = "\n".join(each.text for each in SHOWN)
    found = [
        shlex.split(words) for words in re.findall(r"(?:^|[ /])airflow-vod((?: [a-z-][\w-]*)+)$", texts, re.MULTILINE)
    ]
    [container] = documents()["manifest"]["spec"]["template"]["spec"]["containers"]
    assert container["args"][0] == "airflow-vod"
    return [*found, container["args"][1:]]


def test_what_is_run_exists() -> None:
    """Every command that a unit, a manifest, `docker compose exec` or `kubectl exec` runs is one of ours, with real flags."""
    found = commands()
    assert found.count(["relay", "run", "--conn-id", "vod_default"]) == 2  # the unit and the manifest
    assert found.count(["doctor"]) == 3  # here, in Compose, in Kubernetes
    for words in found:
        _parser().parse_args(words)


def test_the_manifest_belongs_to_the_chart() -> None:
    """Secret, image and labels are called the same in the commands, the values and the manifest."""
    manifest, helm = documents()["manifest"], documents()["helm"]
    [shell] = [each.text for each in SHOWN if "kubectl" in each.text]
    secret = re.findall(r"create secret generic (\S+)", shell)
    image = helm["images"]["airflow"]
    template = manifest["spec"]["template"]
    [container] = template["spec"]["containers"]
    assert [each["secretRef"]["name"] for each in container["envFrom"]] == secret
    assert [each["secretRef"]["name"] for each in yaml.safe_load(helm["extraEnvFrom"])] == secret
    assert container["image"] == f"{image['repository']}:{image['tag']}"
    assert manifest["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert {f"-n {manifest['metadata']['namespace']}"} == set(re.findall(r"-n \w+", shell))


def test_every_variable_arrives_under_the_name_that_airflow_reads() -> None:
    """Compose takes the connection from `.env` under the name that stands there."""
    [env] = [each.text for each in SHOWN if each.language == "ini" and "AIRFLOW_CONN" in each.text]
    values = documents()["compose"]
    assert values.pop("AIRFLOW__TENCENT_VOD__INBOX_SQL_ALCHEMY_CONN").startswith("postgresql+psycopg://")
    assert values == {name: f"${{{name}}}" for name in re.findall(r"^(\w+)=", env, re.MULTILINE)}


def rules() -> list[dict[str, Any]]:
    """Answer the alert rules of the page on operations."""
    [read] = [yaml.safe_load(each.text) for each in examples(OPERATIONS) if each.language == "yaml"]
    [group] = read["groups"]
    return list(group["rules"])


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_every_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    """It has a severity, a sentence, and a runbook that is a heading below "Runbooks"."""
    assert set(rule) - {"for"} == {"alert", "expr", "labels", "annotations"}
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert len(rule["annotations"]["summary"].split()) > 3
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    runbooks = (ROOT / page).read_text().partition("\n## Runbooks\n")[2]
    slugs = [heading.lower().replace(" ", "-") for heading in re.findall(r"^### (.+)$", runbooks, re.MULTILINE)]
    assert anchor in slugs
