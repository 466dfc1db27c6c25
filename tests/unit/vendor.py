"""The vendor's own description of its data, read from the official SDK's models.

Fixtures are generated from it and no name of a field is written down here, so that a test breaks when the vendor renames
one, instead of agreeing with our own mistake.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from tencentcloud.vod.v20180717 import models


class Field(NamedTuple):
    """One field of a structure: the structure it holds, if any, else the scalar type."""

    name: str
    structure: type | None
    scalar: str
    is_list: bool
    text: str

    @property
    def step(self) -> str:
        """The field as a step of a path."""
        return self.name + "[]" * self.is_list


def fields(structure: type) -> list[Field]:
    """List the fields of a structure as the models document them."""
    found = []
    for entry in re.split(r":param _", structure.__init__.__doc__ or "")[1:]:
        name, rest = entry.split(":", 1)
        text, kind = rest.rsplit(f":type {name}:", 1)
        word = re.search(r"(?:models\.|list of )?(\w+)`?\s*$", kind.strip())[1]
        found.append(Field(name, getattr(models, word, None), word, "list of" in kind, text))
    return found


def leaves(
    structure: type, path: tuple[str, ...] = (), seen: frozenset[type] = frozenset()
) -> Iterator[tuple[str, Field]]:
    """Yield the path of every scalar (or list of scalars) in a structure."""
    for field in fields(structure):
        if field.structure is None:
            yield ".".join((*path, field.step)), field
        elif field.structure not in seen:
            yield from leaves(field.structure, (*path, field.step), seen | {field.structure})


def at(structure: type, path: str) -> list[type | None]:
    """Answer what structures a path leads to (None for a scalar); `*` stands for any field."""
    if path in {"", "."}:
        return [structure]
    step, _, rest = path.partition(".")
    found: list[type | None] = []
    for field in fields(structure):
        if step == field.step or (step == "*" and field.structure and not field.is_list):
            found.extend(at(field.structure, rest) if field.structure and rest else [field.structure])
    return found


def example(structure: type, path: str = "", seen: frozenset[type] = frozenset()) -> dict[str, Any]:
    """Fill a structure in full, as a task that succeeded would."""
    filled: dict[str, Any] = {}
    for field in fields(structure):
        where = f"{path}/{field.name}"
        if field.structure is None:
            value: Any = _scalar(field, where)
        elif field.structure in seen:
            continue
        else:
            value = example(field.structure, where, seen | {field.structure})
        filled[field.name] = [value] if field.is_list else value
    return filled


def _scalar(field: Field, where: str) -> Any:
    if field.name in {"ErrCode", "Status"} and field.scalar == "int":
        return 0
    match field.name:
        case "ErrCode":
            return "0"
        case "ErrCodeExt" | "Message":
            return ""
        case "Status":
            return "SUCCESS" if "SUCCESS" in field.text else "FINISH"
    if field.scalar == "str":
        return f"http://example.com{where}.mp4" if re.search(r"Url(Set)?$", field.name) else where.lstrip("/")
    return {"int": 1, "float": 1.5, "bool": True}[field.scalar]


def payload_fields() -> dict[str, type]:
    """Give the payload fields of EventContent and their structures."""
    return {field.name: field.structure for field in fields(models.EventContent) if field.structure}


def detail_fields() -> dict[str, type]:
    """Give the task fields of DescribeTaskDetail's answer and their structures."""
    return {field.name: field.structure for field in fields(models.DescribeTaskDetailResponse) if field.structure}


def documented_types() -> set[str]:
    """Give the event types that EventContent's documentation lists, and those that its fields' descriptions name."""
    listed: set[str] = set()
    for field in fields(models.EventContent):
        if field.name == "EventType":
            listed |= set(re.findall(r"<li>\s*(\w+)\s*[\uff1a:]", field.text, re.ASCII))
        listed |= set(re.findall(r"(?:EventType|事件类型)\s*为\s*(\w+)", field.text, re.ASCII))
    return listed


def on_the_wire(event_type: str, field: str, payload: dict[str, Any]) -> dict[str, Any]:
    """Send a payload through the official models, which know only the vendor's fields."""
    content = models.EventContent()
    content._deserialize({"EventHandle": "handle-1", "EventType": event_type, field: payload})
    return content._serialize(allow_none=True)
