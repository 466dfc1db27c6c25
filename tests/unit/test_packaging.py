"""What the distribution says of itself in pyproject.toml, and whether everything else says the same."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

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
        for name in re.findall(r"pip install '?(airflow[\w.-]*)", page.read_text())
        if name != PROJECT["name"]
    }
    assert told == set()
    assert re.findall(rf"pip install '?{PROJECT['name']}\b", (ROOT / "README.md").read_text())
    own = [each for each in PROJECT["optional-dependencies"]["dev"] if each.partition("[")[0] == PROJECT["name"]]
    assert own, "the extra dev should include the drivers of this very distribution"
