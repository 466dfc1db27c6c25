"""The actions of the VOD API that start a task.

Invariant: what distinguishes one of these actions from another is in its row here; an action that is not here starts no task.

Source: VOD API 2018-07-17, the requests and responses of all actions and their lists of error codes.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from airflow_vod.exceptions import VodSettingsError

SESSION_ID_LIMIT = 50  # characters
SESSION_CONTEXT_LIMIT = 1000  # characters
WINDOW = 3 * 86400.0
"""Seconds for which VOD recognises a SessionId: three days by the requests' documentation, seven by that of most results."""

DUPLICATE_CODES = frozenset(
    {"InvalidParameterValue.SessionId", "FailedOperation.TaskDuplicate", "InvalidParameterValue.UniqueIdentifier"}
)
"""The error codes with which VOD refuses a SessionId that it knows already; which one it is depends on the action."""


@dataclass(frozen=True, slots=True)
class Action:
    """An action that starts a task.

    :param name: such as ``EditMedia``.
    :param takes_session_id: whether VOD recognises a repeated request by its ``SessionId``.
    :param takes_session_context: whether it passes a ``SessionContext`` through.
    :param id_field: the field of the answer that holds the id of the task.
    :param other_id_fields: fields of the answer that hold ids of further tasks, or lists of them.
    :param announced: whether VOD has an event for the end of such a task.
    """

    name: str
    takes_session_id: bool = True
    takes_session_context: bool = True
    id_field: str = "TaskId"
    other_id_fields: tuple[str, ...] = ()
    announced: bool = True

    def task_id(self, answer: Mapping[str, Any]) -> str | None:
        """Read the id of the task out of an answer; None where it has none."""
        return answer.get(self.id_field) or None

    def other_task_ids(self, answer: Mapping[str, Any]) -> list[str]:
        """Read the ids of the further tasks that a request has started."""
        values = [answer.get(name) or [] for name in self.other_id_fields]
        return [each for value in values for each in ([value] if isinstance(value, str) else value)]


_WITH_SESSION_ID = (
    "CloneVoiceAsync ComposeMedia CreateAigcAdvancedCustomElement CreateAigcAudioClone CreateAigcCustomVoice "
    "CreateAigcHunyuan3DTask CreateAigcImageTask CreateAigcSubject CreateAigcVideoRedrawTask CreateAigcVideoTask "
    "CreateSceneAigcImageTask CreateSceneAigcVideoTask DescribeAigcFaceInfoAsync DescribeFileAttributes DesignVoiceAsync "
    "EditMedia EnhanceMediaByTemplate EnhanceMediaQuality ExtractBlindWatermark ExtractCopyRightWatermark "
    "ExtractTraceWatermark InspectMediaQuality ProcessImageAsync ProcessMedia ProcessMediaByUrl PullUpload RebuildMedia "
    "RebuildMediaByTemplate RemoveWatermark ReviewAudioVideo SplitMedia TextToSpeechAsync VideoDepthEstimation"
)
_WITH_NEITHER = (
    "CreateAigcAudioTask CreateComplexAdaptiveDynamicStreamingTask ImportMediaKnowledge ProcessMediaByMPS "
    "WeChatMiniProgramPublish"
)
_UNANNOUNCED = (
    "CloneVoiceAsync CreateAigcAudioClone CreateAigcAudioTask CreateAigcSubject CreateAigcVideoRedrawTask "
    "CreateSceneAigcVideoTask DesignVoiceAsync ImportMediaKnowledge TextToSpeechAsync VideoDepthEstimation"
)
_ROWS = (
    *(Action(name, announced=name not in _UNANNOUNCED.split()) for name in _WITH_SESSION_ID.split()),
    *(Action(name, False, False, announced=name not in _UNANNOUNCED.split()) for name in _WITH_NEITHER.split()),
    Action("ProcessMediaByProcedure", other_id_fields=("ReviewAudioVideoTaskId", "ImportMediaKnowledgeTaskIdSet")),
    Action("LiveRealTimeClip", takes_session_id=False, id_field="VodTaskId"),
    Action("SimpleHlsClip", takes_session_id=False),
)

ACTIONS: Mapping[str, Action] = MappingProxyType({row.name: row for row in sorted(_ROWS, key=lambda row: row.name)})
"""Every action that starts a task, by its name."""


def action_of(name: Any) -> Action:
    """Find an action that starts a task.

    :param name: as VOD writes it.
    :raises VodSettingsError: there is no such action, or it starts no task; the message says which and names the nearest.
    """
    if isinstance(name, str) and name in ACTIONS:
        return ACTIONS[name]
    if not isinstance(name, str):
        raise VodSettingsError(f"action is {name!r:.100}, but must be the name of an action such as EditMedia.")
    by_case = {known.lower(): known for known in ACTIONS}
    nearest = difflib.get_close_matches(name.lower(), by_case, 3, 0.6)
    if name.lower() not in by_case and _exists(name):
        raise VodSettingsError(
            f"action is {name!r}, which VOD answers at once and which starts no task: call it with "
            f"VodHook.get_client().call({name!r}, …). This operator takes: {', '.join(ACTIONS)}."
        )
    meant = " or ".join(by_case[each] for each in nearest)
    raise VodSettingsError(
        f"action is {name!r:.100}, which VOD does not have"
        + (f"; did you mean {meant}?" if meant else f". This operator takes: {', '.join(ACTIONS)}.")
    )


def check_parameters(action: Action, parameters: Any, session_context: str | None = None) -> None:
    """Check what can be checked before VOD does.

    :param action: what they are for.
    :param parameters: of the action, under VOD's names.
    :param session_context: the user's own, given beside them.
    :raises VodSettingsError: the message names the parameter, its value and the remedy.
    """
    if not isinstance(parameters, Mapping):
        raise VodSettingsError(
            f"parameters is {parameters!r:.200}, but must be a dictionary under VOD's names, such as {{'FileId': '5285…'}}. If a "
            "template rendered it as text, set render_template_as_native_obj=True on the DAG."
        )
    if wrong := [name for name in parameters if not isinstance(name, str) or not name[:1].isupper()]:
        raise VodSettingsError(f"parameters has the name {wrong[0]!r:.80}, but VOD's begin with a capital letter.")
    if "SubAppId" in parameters:
        raise VodSettingsError("parameters has SubAppId: give it as sub_app_id, or in the connection.")
    if session_context is not None and "SessionContext" in parameters:
        raise VodSettingsError("SessionContext is given twice, in parameters and as session_context. Give it once.")
    limits = (
        ("SessionId", parameters.get("SessionId"), SESSION_ID_LIMIT, action.takes_session_id),
        (
            "SessionContext",
            parameters.get("SessionContext", session_context),
            SESSION_CONTEXT_LIMIT,
            action.takes_session_context,
        ),
    )
    for name, value, limit, taken in limits:
        if value is None:
            continue
        if not taken:
            raise VodSettingsError(f"{name} is given, but {action.name} takes none. Leave it out.")
        if not isinstance(value, str) or (len(value) > limit and "{" not in value):
            what = f"{len(value)} characters long" if isinstance(value, str) else repr(value)[:80]
            raise VodSettingsError(f"{name} is {what}, but must be text of at most {limit} characters.")


def _exists(name: str) -> bool:
    """Say whether VOD has an action of this name. Imports a large module, which only a mistake should cost."""
    from tencentcloud.vod.v20180717.vod_client import VodClient

    return name[:1].isupper() and callable(getattr(VodClient, name, None))
