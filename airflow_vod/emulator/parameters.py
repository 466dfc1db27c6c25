"""The parameters of the actions that start no task, and how parameters are read from a JSON body or a query.

Invariant: an action sees only parameters that it has, each of its type; null means absent.

Source: VOD API 2018-07-17, the pages of the actions.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo
from pydantic.alias_generators import to_pascal

from airflow_vod.emulator.errors import ApiError, missing, unknown, wrong_type

if TYPE_CHECKING:
    from airflow_vod.emulator.request import Request


def _decimal(value: Any, info: ValidationInfo) -> Any:
    from_query = info.context == "GET" and isinstance(value, str)
    return float(value) if from_query else value


def _digits(value: Any, info: ValidationInfo) -> Any:
    # A query holds nothing but strings; in JSON, "1" is not an integer.
    from_query = info.context == "GET" and isinstance(value, str) and value.isdecimal()
    return int(value) if from_query else value


# The descriptions end up in the messages to clients.
Integer = Annotated[int, BeforeValidator(_digits), Field(ge=0, lt=2**64, description="an integer")]
Number = Annotated[float, BeforeValidator(_decimal), Field(description="a number")]
String = Annotated[str, Field(description="a string")]
Strings = Annotated[list[str], Field(description="a list of strings")]
Object = Annotated[dict[str, Any] | None, Field(description="an object")]
Objects = Annotated[list[dict[str, Any]] | None, Field(description="a list of objects")]


class Parameters(BaseModel):
    """What every action takes; by itself, the parameters of DescribeEventsState and DescribeEventConfig."""

    model_config = ConfigDict(alias_generator=to_pascal, extra="forbid", strict=True, frozen=True)

    sub_app_id: Integer = 0


class PullEvents(Parameters):
    """Parameters of PullEvents."""

    ext_info: String = ""


class ConfirmEvents(Parameters):
    """Parameters of ConfirmEvents."""

    event_handles: Strings
    ext_info: String = ""


class ModifyEventConfig(Parameters):
    """Parameters of ModifyEventConfig; the names are those of `EventConfig`."""

    mode: String = ""
    notification_url: String = ""
    upload_media_complete_event_switch: String = ""
    delete_media_complete_event_switch: String = ""
    persistence_complete_event_switch: String = ""
    sign_key: String = ""


class DescribeTaskDetail(Parameters):
    """Parameters of DescribeTaskDetail."""

    task_id: String


class DescribeTasks(Parameters):
    """Parameters of DescribeTasks."""

    status: String = ""
    file_id: String = ""
    create_time: Object = None
    finish_time: Object = None
    sort: Object = None
    limit: Integer = 10
    scroll_token: String = ""


class ManageTask(Parameters):
    """Parameters of ManageTask."""

    task_id: String
    operation_type: String


P = TypeVar("P", bound=Parameters)


def read(request: Request, model: type[P]) -> P:
    """Read and check the parameters of a request.

    :param request: POST with JSON, or GET with a query such as ``EventHandles.0=a&SubAppId=1``.
    :param model: the parameters of the action.
    :return: the parameters; `model_fields_set` names those that were given.
    :raises ApiError: InvalidParameter, UnknownParameter or MissingParameter.
    """
    given = read_raw(request)
    try:
        return model.model_validate(given, context=request.method)
    except ValidationError as error:
        raise _refusal(error, list(given), model) from None


def read_raw(request: Request) -> dict[str, Any]:
    """Read the parameters of a request without checking them.

    :param request: as for `read`.
    :return: name to value, without nulls.
    :raises ApiError: InvalidParameter, when it cannot be parsed.
    """
    try:
        return _from_query(request.query) if request.method == "GET" else _from_body(request.body)
    except (ValueError, RecursionError):
        raise ApiError("InvalidParameter", "The request cannot be parsed.") from None


def _refusal(error: ValidationError, given: list[str], model: type[Parameters]) -> ApiError:
    # The first mistake as the request was written; what is missing comes last.
    places = {str(each["loc"][0]): each["type"] for each in error.errors(include_url=False, include_input=False)}
    name = min(places, key=lambda name: given.index(name) if name in given else len(given))
    if places[name] == "missing":
        return missing(name)
    if places[name] == "extra_forbidden":
        return unknown(name)
    description = next(field.description for field in model.model_fields.values() if field.alias == name)
    return wrong_type(name, description or "")


def _from_body(body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        raise ApiError("InvalidParameter", "The request body is not valid JSON.") from None
    if not isinstance(given, dict):
        raise ApiError("InvalidParameter", "The request body is not a JSON object.")
    return {name: value for name, value in given.items() if value is not None}


def _from_query(query: str) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        _put(given, name.split("."), value)
    return {name: _listed(value) for name, value in given.items()}


def _put(given: dict[str, Any], path: list[str], value: str) -> None:
    for step in path[:-1]:
        inner = given.setdefault(step, {})
        if not isinstance(inner, dict):
            raise ApiError("InvalidParameter", f"The parameter `{'.'.join(path)}` contradicts another one.")
        given = inner
    given[path[-1]] = value


def _listed(value: Any) -> Any:
    """Turn mappings with numbers for keys into lists."""
    if not isinstance(value, dict):
        return value
    if all(key.isdecimal() for key in value):
        return [_listed(value[key]) for key in sorted(value, key=int)]
    return {key: _listed(inner) for key, inner in value.items()}
