"""The table and the JSON.

Invariant: both say the same, and are complete up to the figure that broke, if one did.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.readings import Reading


class Report:
    """Collects readings, prints them as they come, writes them down.

    :param path: of the JSON.
    :param quick: whether this is the short form.
    :param console: where to print.
    """

    def __init__(self, path: Path, *, quick: bool, console: Console | None = None) -> None:
        self._path = path
        self._console = console or _console()
        self._began = time.monotonic()
        self._content: dict[str, Any] = {
            "quick": quick,
            "machine": {
                "cores": os.cpu_count(),
                "python": platform.python_version(),
                "system": platform.platform(),
                "load_before": os.getloadavg()[0],
            },
            "figures": {},
        }

    def add(self, name: str, title: str, readings: Sequence[Reading], seconds: float, error: str | None) -> None:
        """Add a figure.

        :param name: of the figure.
        :param title: what it is, for people.
        :param readings: what was read.
        :param seconds: how long that took.
        :param error: why it broke off, if it did.
        """
        self._content["figures"][name] = {
            "title": title,
            "seconds": round(seconds, 1),
            "load": round(os.getloadavg()[0], 1),
            "error": error,
            "readings": [reading.to_dict() for reading in readings],
        }
        self._path.write_text(json.dumps(self._content, indent=1) + "\n")
        self._print(title, readings)
        if error:
            self._console.print(error, style="red", markup=False, highlight=False)

    def close(self) -> None:
        """Say where the JSON is."""
        readings = [each for figure in self._content["figures"].values() for each in figure["readings"]]
        missed = sum(each["met"] is False for each in readings)
        load, cores = max(figure["load"] for figure in self._content["figures"].values()), os.cpu_count() or 1
        if load > 1.5 * cores:
            self._console.print(
                f"The load was up to {load:g} on {cores} cores: others were at work, so mistrust the figures."
            )
        self._console.print(
            f"{len(readings)} readings, {missed} beyond their target, in {time.monotonic() - self._began:.0f} s; "
            f"{self._path.name} has them all",
            highlight=False,
        )

    def _print(self, title: str, readings: Sequence[Reading]) -> None:
        table = Table(title=title, title_justify="left", title_style="bold", expand=False)
        table.add_column("", overflow="fold")
        for name in ("measured", "baseline", "target"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("")
        table.add_column("baseline is", overflow="fold", style="dim")
        for each in readings:
            target = f"{'≥' if each.target.at_least else '≤'} {_text(each.target.limit)}" if each.target else ""
            mark = {True: "[green]✓[/]", False: "[red]✗[/]", None: ""}[each.met]
            baseline = "" if each.baseline is None else f"{_text(each.baseline)} {each.unit}"
            table.add_row(each.case, f"{_text(each.value)} {each.unit}", baseline, target, mark, each.against)
        self._console.print(table)


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=120)


def _text(value: float) -> str:
    """Three digits are enough for a figure."""
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"
