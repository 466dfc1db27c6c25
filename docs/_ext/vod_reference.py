"""What the reference takes from the code itself.

    {airflow-vod-commands}    a directive: every subcommand with its arguments, from the parsers

Invariants: each operator and sensor shows the line that imports it, and every parameter that it takes from a class of this
package; what a docstring says of a parameter is not repeated; a table in a module's docstring keeps its lines.
"""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx

_PARAMETER = re.compile(r":param (\w+):")
_FLAG = re.compile(r"(?<![\w`-])(--[a-z][a-z-]*)")
_NOT_TAKEN = {
    "VodSubmitOperator": ("vod_task_id", "event_type", "start_from_trigger", "end_from_trigger"),
    "VodConcatSensor": ("event_type",),
    "VodConcatOperator": ("clips", "streams"),
    "VodMediaOperator": ("action",),
}
"""By class, what it and those below it do not take although a class above them does."""


def parsers() -> Iterator[argparse.ArgumentParser]:
    """Answer the parser of each subcommand that does something."""
    from airflow_vod.cli.main import _parser
    from airflow_vod.emulator.command import _parser as emulator_parser

    yield from _leaves(_parser(), emulator_parser())


def _leaves(parser: argparse.ArgumentParser, *others: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    below = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    if not below:
        yield next((other for other in others if other.prog == parser.prog), parser)
    for command in below:
        for name, child in command.choices.items():
            child.description = child.description or _help_of(command, name)
            yield from _leaves(child, *others)


def _help_of(command: argparse._SubParsersAction[Any], name: str) -> str:
    text = next(each.help for each in command._choices_actions if each.dest == name)
    return f"{text[:1].upper()}{text[1:]}."


def arguments_of(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """Answer how each argument is written, and what its help says."""
    formatter = parser._get_formatter()
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        written = ", ".join(action.option_strings) or str(action.metavar)
        if action.option_strings and action.nargs != 0:
            values = "|".join(map(str, action.choices)) if action.choices else action.metavar or action.dest.upper()
            written += f" {values}"
        yield written, formatter._expand_help(action)


class Commands(SphinxDirective):
    """Lists every subcommand of ``airflow-vod``."""

    def run(self) -> list[nodes.Node]:
        """Write them as Markdown, and let that be parsed."""
        lines: list[str] = []
        for parser in sorted(parsers(), key=lambda each: each.prog):
            lines += [f"## `{parser.prog}`", "", _FLAG.sub(r"`\1`", parser.description or ""), ""]
            rows = [
                "| `{}` | {} |".format(*(each.replace("|", r"\|") for each in (name, _FLAG.sub(r"`\1`", text))))
                for name, text in arguments_of(parser)
            ]
            lines += ["| argument | meaning |", "|---|---|", *rows, ""] if rows else []
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def complete_parameters(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Add the import and inherited parameters to the docstring of an operator or a sensor."""
    if what not in ("class", "exception") or not name.startswith(("airflow_vod.operators.", "airflow_vod.sensors.")):
        return
    lines[:0] = ["::", "", f"    from {obj.__module__} import {obj.__qualname__}", ""]
    if not hasattr(obj, "execute"):
        return
    while not lines[-1].strip():
        lines.pop()
    if ":param" not in "".join(lines):
        lines.append("")
    told = set(_PARAMETER.findall("\n".join(lines)))
    for base in obj.__mro__:
        told.update(_NOT_TAKEN.get(base.__name__, ()))
    for base in obj.__mro__[1:]:
        if base.__module__.startswith("airflow_vod."):
            for parameter, text in parameters_of(base):
                if parameter not in told and parameter != "kwargs":
                    told.add(parameter)
                    lines.append(text)
    lines.append("")


def keep_tables(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Let what is indented in a module's docstring stand as it is written."""
    if what != "module":
        return
    for number in range(len(lines) - 1, 1, -1):
        before, gap, line = lines[number - 2 : number + 1]
        if line.startswith(" ") and not gap.strip() and before.strip() and not before.startswith(" "):
            lines[number:number] = ["::", ""]


def parameters_of(cls: type) -> Iterator[tuple[str, str]]:
    """Answer the parameters that the docstring of a class describes, each with its field in one line."""
    for field in re.split(r"^(?=:)", inspect.cleandoc(cls.__doc__ or ""), flags=re.MULTILINE):
        if found := _PARAMETER.match(field):
            yield found[1], " ".join(field.split())


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("airflow-vod-commands", Commands)
    app.connect("autodoc-process-docstring", complete_parameters)
    app.connect("autodoc-process-docstring", keep_tables)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
