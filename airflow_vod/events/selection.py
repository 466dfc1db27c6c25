"""Which of the files that VOD tasks made are meant.

Invariant: a selection is never empty: where nothing matches, an error names what there was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_vod.exceptions import ResultError

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
        kinds, definitions, types = _words(self.kinds), _words(self.definitions), _words(self.file_types)
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

    def _criteria(self) -> str:
        given = {"kind": self.kinds, "definition": self.definitions, "type": self.file_types}
        return " and ".join(f"of the {name}s {value!r}" for name, value in given.items() if _words(value))


def _described(file: ResultFile) -> str:
    definition = file.definition
    words = (
        file.kind,
        f"definition {definition}" if definition is not None else None,
        f"type {file.type or 'unknown'}",
    )
    return ", ".join(word for word in words if word)


def _words(choice: Choice) -> set[str]:
    values = [choice] if isinstance(choice, (str, int)) else choice or ()
    return {word for value in values if (word := _word(value))}


def _word(value: Any) -> str:
    return "" if value is None else str(value).strip().lower().removeprefix(".")
