"""Names of fetched files below their destination.

Invariants: a name never leads out of the destination, whatever a URL holds; no two files of a task have the same one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from airflow_vod.exceptions import MediaError, VodSettingsError
from airflow_vod.tencent.signing import shown

if TYPE_CHECKING:
    from airflow_vod.events.results import ResultFile

FILE_NAME = "{folder}/{name}"
"""The default: VOD keeps all versions of a media file in a folder of its own, and calls nearly every original ``f0``."""
FIELDS = ("folder", "name", "file_id", "kind", "definition", "type", "index")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f/\\]")


def names_of(files: Sequence[ResultFile], pattern: str = FILE_NAME) -> list[str]:
    """Name files.

    :param files: each with a URL.
    :param pattern: text with any of the fields ``{folder}`` and ``{name}`` (the last two parts of the URL's path), ``{file_id}``,
        ``{kind}``, ``{definition}``, ``{type}`` and ``{index}`` (the position, from 0); ``/`` makes folders.
    :return: relative paths, in the order of the files.
    :raises VodSettingsError: the pattern has an unknown field, or does not tell files apart.
    :raises MediaError: a URL does not name a file.
    """
    names: dict[str, ResultFile] = {}
    for index, file in enumerate(files):
        name = _name(file, index, pattern)
        if name in names:
            raise VodSettingsError(
                f"file_name {pattern!r} gives {shown(str(names[name].url))} and {shown(str(file.url))} the same name {name!r}. "
                f"Add another of the fields {', '.join(FIELDS)}."
            )
        names[name] = file
    return list(names)


def _name(file: ResultFile, index: int, pattern: str) -> str:
    parts = [_safe(unquote(part)) for part in urlsplit(str(file.url)).path.split("/") if part]
    if not parts or parts[-1] in ("", ".", ".."):
        raise MediaError(f"{shown(str(file.url))} names no file.")
    values = {
        "folder": parts[-2] if len(parts) > 1 else "",
        "name": parts[-1],
        "file_id": _safe(file.file_id or ""),
        "kind": _safe(file.kind or ""),
        "definition": "" if file.definition is None else str(file.definition),
        "type": _safe(file.type or ""),
        "index": str(index),
    }
    try:
        text = pattern.format_map(values)
    except (KeyError, ValueError, IndexError, AttributeError, TypeError):
        raise VodSettingsError(
            f"file_name is {pattern!r:.200}, but may have only the fields {', '.join(f'{{{name}}}' for name in FIELDS)}."
        ) from None
    path = [part for part in text.split("/") if part not in ("", ".", "..")]
    if not path or text.endswith("/"):
        raise VodSettingsError(f"file_name {pattern!r:.200} gives {shown(str(file.url))} no name.")
    return "/".join(path)


def _safe(text: str) -> str:
    """Take out what would end a part of a path."""
    return _UNSAFE.sub("_", text)
