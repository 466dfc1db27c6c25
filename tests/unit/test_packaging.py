"""What the distribution says of itself in pyproject.toml, and whether everything else says the same."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_vod.cli import main
from airflow_vod.get_provider_info import get_provider_info

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_name_is_the_same_everywhere() -> None:
    """Airflow is told the distribution's name, and what people are told to install with pip is this distribution."""
    assert get_provider_info()["package-name"] == PROJECT["name"]
    pages = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("airflow_vod/**/*.py")]
    told = {
        (name, page.name)
        for page in pages
        for name in re.findall(r"pip install.*?['\" ](airflow-(?:vod|provider)[\w-]*)", page.read_text())
        if name != PROJECT["name"]
    }
    assert told == set()
    assert re.findall(rf"pip install '?{PROJECT['name']}\b", (ROOT / "README.md").read_text())
    own = [each for each in PROJECT["optional-dependencies"]["dev"] if each.partition("[")[0] == PROJECT["name"]]
    assert own, "the extra dev should include the drivers of this very distribution"


def test_the_classifiers_are_what_is_tested() -> None:
    """The oldest Python that is named is the oldest that pip installs this on, and what Airflow's registry looks for is there."""
    classifiers: list[str] = PROJECT["classifiers"]
    pythons = [
        each.rpartition(" ")[2] for each in classifiers if each.startswith("Programming Language :: Python :: 3.")
    ]
    assert PROJECT["requires-python"] == f">={pythons[0]}"
    assert {"Framework :: Apache Airflow", "Framework :: Apache Airflow :: Provider", "Typing :: Typed"} <= set(
        classifiers
    )


def test_make_explains_itself() -> None:
    """``make help`` has every target, in groups, with a few words."""
    phony = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    text = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    groups = [group.splitlines() for group in text.strip().split("\n\n")]
    assert [lines[0] for lines in groups] == ["First", "Larger tests and measurements", "While you write", "Release"]
    listed = [re.fullmatch(r"  ([a-z-]+) +(\S.*\.)", line) for _, *lines in groups for line in lines]
    assert sorted(each[1] for each in listed if each) == sorted(phony[0].split())
    assert all(listed)


@pytest.mark.parametrize("form", sorted(ROOT.glob(".github/ISSUE_TEMPLATE/[!c]*.yml")), ids=lambda form: form.stem)
def test_forms_for_issues(form: Path) -> None:
    """Each form is one that GitHub shows, leads nowhere else, and asks only for what the command can say."""
    written = yaml.safe_load(form.read_text())
    assert written.keys() == {"name", "description", "labels", "body"}
    for element in written["body"]:
        if element["type"] == "markdown":
            assert element["attributes"].keys() == {"value"}
        else:
            assert element["type"] in ("textarea", "input")
            assert element["attributes"]["label"]
    ids = [element["id"] for element in written["body"] if "id" in element]
    assert len(ids) == len(set(ids)) > 0
    assert "://" not in form.read_text()
    for command in re.findall(r"`airflow-vod ([a-z ]+[a-z])", form.read_text()):
        with pytest.raises(SystemExit, match="0"):
            main([*command.split(), "--help"])
