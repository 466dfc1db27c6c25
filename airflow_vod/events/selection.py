"""Which of the files that VOD tasks made are meant.

Invariant: a selection is never empty: where nothing matches, an error names what there was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_vod.exceptions import ResultError, VodSettingsError

if TYPE_CHECKING:
    from airflow_vod.events.results import ResultFile, TaskResult

Choice = str | int | Sequence[str | int] | None
"""One value, several, or None for all."""


@dataclass(frozen=True)
class Selection:
    """What to select by; several criteria must all be met.

    :param kinds: sub-tasks in VOD's words, such as ``Transcode`` or ``CoverBySnapshot``; case-insensitive.
    :param definitions: ids of templates; numbers, or text as a template gives.
    :param file_types: such as ``mp4``; case-insensitive, with or without a dot.
    """

    kinds: Choice = None
    definitions: Choice = None
    file_types: Choice = None

    def of(self, results: Iterable[TaskResult]) -> list[ResultFile]:
        """Select from the good files of results.

        :param results: of VOD tasks.
        :return: the files, in VOD's order; at least one.
        :raises ResultError: no file was made, or none is meant.
        """
        files = [file for result in results for file in result.files if file.error_code == 0]
        if not files:
            raise ResultError("The VOD task made no file.")
        kinds, definitions, types = (_words(name, choice) for name, choice in self._choices().items())
        chosen = [
            file
            for file in files
            if (not kinds or _word(file.kind) in kinds)
            and (not definitions or _word(file.definition) in definitions)
            and (not types or _word(file.type) in types)
        ]
        if not chosen:
            raise ResultError(
                f"The VOD task made no file {self._criteria()}, only: {'; '.join(sorted(set(map(_described, files))))}. "
                "Change what is selected, or omit it for all files."
            )
        return chosen

    def _choices(self) -> dict[str, Choice]:
        return {"kinds": self.kinds, "definitions": self.definitions, "file_types": self.file_types}

    def _criteria(self) -> str:
        names = {"file_types": "types"}
        return " and ".join(
            f"of the {names.get(name, name)} {value!r}"
            for name, value in self._choices().items()
            if _words(name, value)
        )


def check_when_parsed(kinds: Any, definitions: Any, file_types: Any) -> None:
    """Check, while a DAG is parsed, what is known of a selection by then.

    :param kinds: as in `Selection`; or what Airflow has yet to resolve.
    :param definitions: likewise.
    :param file_types: likewise.
    :raises VodSettingsError: a value that is written down cannot be one; the message shows it.
    """
    for name, choice in (("kinds", kinds), ("definitions", definitions), ("file_types", file_types)):
        if isinstance(choice, (str, int, list, tuple, set, frozenset)):
            _words(name, choice)


def _described(file: ResultFile) -> str:
    definition = file.definition
    words = (
        file.kind,
        f"definition {definition}" if definition is not None else None,
        f"type {file.type or 'unknown'}",
    )
    return ", ".join(word for word in words if word)


_EXAMPLES = {"kinds": "Transcode", "definitions": "100020", "file_types": "mp4"}


def _words(name: str, choice: Any) -> set[str]:
    """Bring what is selected by into the form in which it is compared; nothing for all.

    :raises VodSettingsError: a value cannot be one of this name.
    """
    # A template that is the whole value may render as nothing.
    if choice is None or (isinstance(choice, str) and not choice):
        return set()
    values = list(choice) if not isinstance(choice, (str, int)) and hasattr(choice, "__iter__") else [choice]
    for value in values:
        number = name == "definitions" and isinstance(value, int) and not isinstance(value, bool)
        if not number and not (isinstance(value, str) and value.strip()) and not hasattr(value, "resolve"):
            what = "an id" if name == "definitions" else "a name"
            raise VodSettingsError(
                f"{name} is {choice!r:.200}, but must be {what} such as {_EXAMPLES[name]}, or a list of such. "
                "Leave it out for all files."
            )
    return {_word(value) for value in values}


def _word(value: Any) -> str:
    return "" if value is None else str(value).strip().lower().removeprefix(".")
