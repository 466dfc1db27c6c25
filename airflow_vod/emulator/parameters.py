"""Parameters of a call: read from a JSON body or a query, checked against the action's schema.

Invariant: an action sees only parameters that it has, each of its type; null means absent.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from airflow_vod.emulator.errors import ApiError, missing, unknown, wrong_type

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_vod.emulator.request import Request

_TYPES: dict[str, tuple[type, ...]] = {
    "an integer": (int,),
    "a string": (str,),
    "a list of strings": (list,),
    "a list of objects": (list,),
    "an object": (dict,),
}
INTEGER, STRING, STRINGS, OBJECTS, OBJECT = _TYPES


def read(request: Request, schema: Mapping[str, str], required: tuple[str, ...] = ()) -> dict[str, Any]:
    """Read and check the parameters of a request.

    :param request: POST with JSON, or GET with a query such as ``EventHandles.0=a&SubAppId=1``.
    :param schema: parameter to type.
    :param required: parameters that must be there.
    :return: those that are there.
    :raises ApiError: InvalidParameter, UnknownParameter or MissingParameter.
    """
    given = _from_query(request.query, schema) if request.method == "GET" else _from_body(request.body)
    for name, value in given.items():
        if name not in schema:
            raise unknown(name)
        if not _fits(value, schema[name]):
            raise wrong_type(name, schema[name])
    for name in required:
        if name not in given:
            raise missing(name)
    return given


def _from_body(body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        raise ApiError("InvalidParameter", "The request body is not valid JSON.") from None
    if not isinstance(given, dict):
        raise ApiError("InvalidParameter", "The request body is not a JSON object.")
    return {name: value for name, value in given.items() if value is not None}


def _from_query(query: str, schema: Mapping[str, str]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        base, _, rest = name.partition(".")
        if rest:
            _put(given, [base, *rest.split(".")], value)
        else:
            given[name] = int(value) if schema.get(name) == INTEGER and value.isdecimal() else value
    return {name: _listed(value) for name, value in given.items()}


def _put(given: dict[str, Any], path: list[str], value: str) -> None:
    for step in path[:-1]:
        inner = given.setdefault(step, {})
        if not isinstance(inner, dict):
            raise ApiError("InvalidParameter", f"The parameter `{'.'.join(path)}` contradicts another one.")
        given = inner
    given[path[-1]] = value


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if all(key.isdecimal() for key in value):
        return [_listed(value[key]) for key in sorted(value, key=int)]
    return {key: _listed(inner) for key, inner in value.items()}


def _fits(value: Any, wanted: str) -> bool:
    kind: tuple[Any, ...] = _TYPES[wanted]
    if not isinstance(value, kind) or isinstance(value, bool):
        return False
    if wanted == INTEGER:
        return bool(0 <= value < 2**64)
    if wanted == STRINGS:
        return all(isinstance(item, str) for item in value)
    if wanted == OBJECTS:
        return all(isinstance(item, dict) for item in value)
    return True
