"""Operators for what people do most with media: splice, clip, compose, process, and pull files into VOD.

Invariant: each is `VodSubmitOperator` with names and checks of its own; how a task is started and waited for is written there.

Source: VOD API 2018-07-17, EditMedia, ComposeMedia, ProcessMedia, ProcessMediaByProcedure and PullUpload.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_vod.exceptions import VodSettingsError
from airflow_vod.operators.submit import VodSubmitOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import XComArg

_NAME_LIMIT = 64  # characters of a MediaName
_TRACK_TYPES = ("Video", "Audio", "Image")


class VodMediaOperator(VodSubmitOperator):
    """What the operators below have in common.

    :param action: of the VOD API.
    :param parameters: further parameters of the action, under VOD's names. Templated.
    :param kwargs: what `VodSubmitOperator` takes.
    """

    _own_fields: ClassVar[Sequence[str]] = ()

    def _check_if_known(self) -> None:
        """Check at parse time, unless another task is going to say what the parameters are."""
        if all(_is_plain(getattr(self, name)) for name in self._own_fields):
            self.api_parameters()

    def own_parameters(self) -> dict[str, Any]:
        """Make the parameters that this operator has names for; None stands for one that is not given.

        :raises VodSettingsError: an argument is not valid.
        """
        raise NotImplementedError

    def api_parameters(self) -> Mapping[str, Any]:
        """Add the further parameters."""
        own = {name: value for name, value in self.own_parameters().items() if value is not None}
        if twice := sorted(own.keys() & self.parameters.keys()):
            raise VodSettingsError(f"parameters has {twice[0]}, which {type(self).__name__} sets itself. Leave it out.")
        return {**own, **self.parameters}


class VodEditMediaOperator(VodMediaOperator):
    """Cuts clips out of files or recorded streams, and splices them in the order given (EditMedia).

    :param clips: what to take: FileIds, or dictionaries ``{"file_id": …, "start": 0, "end": 12.5}`` (seconds; without them the
        whole file). Templated.
    :param streams: instead of `clips`: dictionaries ``{"stream_id": …, "start_time": …, "end_time": …}`` (ISO 8601). Templated.
    :param output_name: name of the new file; at most 64 characters. Templated.
    :param output_type: ``mp4`` or ``hls``; None for VOD's default, mp4.
    :param class_id: category of the new file.
    :param expire_time: when VOD deletes the new file, in ISO 8601; None for never. Templated.
    :param procedure_name: a task flow that VOD runs on the new file afterwards; its task is in the result's
        ``follow_up_task_ids``. Templated.
    :param kwargs: what `VodSubmitOperator` takes; ``parameters`` may hold further parameters of EditMedia.
    """

    _own_fields: ClassVar[Sequence[str]] = ("clips", "streams", "output_name", "expire_time", "procedure_name")
    template_fields: Sequence[str] = (*VodSubmitOperator.template_fields, *_own_fields)

    def __init__(
        self,
        *,
        clips: Sequence[Any] | XComArg | None = None,
        streams: Sequence[Any] | XComArg | None = None,
        output_name: str | None = None,
        output_type: str | None = None,
        class_id: int | None = None,
        expire_time: str | None = None,
        procedure_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(action="EditMedia", **kwargs)
        self.clips: Any = clips
        self.streams: Any = streams
        self.output_name = output_name
        self.output_type = output_type
        self.class_id = class_id
        self.expire_time = expire_time
        self.procedure_name = procedure_name
        if output_type not in (None, "mp4", "hls"):
            raise VodSettingsError(f"output_type is {output_type!r:.80}, but VOD makes mp4 or hls.")
        self._check_if_known()

    def own_parameters(self) -> dict[str, Any]:
        """Make the inputs and the configuration of the output."""
        if (self.clips is None) == (self.streams is None):
            raise VodSettingsError("Give either clips (of files) or streams.")
        output = {
            "MediaName": _text("output_name", self.output_name, _NAME_LIMIT),
            "Type": self.output_type,
            "ClassId": self.class_id,
            "ExpireTime": self.expire_time,
        }
        inputs: dict[str, Any]
        if self.streams is None:
            inputs = {"InputType": "File", "FileInfos": [_clip(each) for each in _list("clips", self.clips)]}
        else:
            inputs = {"InputType": "Stream", "StreamInfos": [_stream(each) for each in _list("streams", self.streams)]}
        config = {name: value for name, value in output.items() if value is not None}
        return inputs | {"OutputConfig": config or None, "ProcedureName": self.procedure_name}


class VodConcatOperator(VodEditMediaOperator):
    """Splices (concatenates) whole files in the order given: what `VodConcatSensor` waits for, with its start.

    :param files: FileIds, or dictionaries with a ``file_id``, as `VodFileUrlsOperator` pushes them under ``files``. Templated;
        takes the output of other tasks.
    :param kwargs: what `VodEditMediaOperator` takes about the new file, and `VodSubmitOperator` about the rest.
    """

    _own_fields: ClassVar[Sequence[str]] = ("files", "output_name", "expire_time", "procedure_name")
    template_fields: Sequence[str] = (*VodSubmitOperator.template_fields, *_own_fields)

    def __init__(self, *, files: Sequence[Any] | XComArg, **kwargs: Any) -> None:
        if wrong := [name for name in ("clips", "streams") if name in kwargs]:
            raise TypeError(f"VodConcatOperator takes no {wrong[0]}; VodEditMediaOperator does.")
        self.files: Any = files
        super().__init__(**kwargs)

    def own_parameters(self) -> dict[str, Any]:
        """Make clips of the files."""
        self.clips = [_whole(each) for each in _list("files", self.files)]
        return super().own_parameters()


class VodComposeMediaOperator(VodMediaOperator):
    """Composes a video or audio file out of tracks (ComposeMedia).

    :param tracks: ``[{"Type": "Video", "TrackItems": […]}, …]``, under VOD's names. Templated.
    :param output_file: ``{"FileName": …, "Container": "mp4", …}``, under VOD's names. Templated.
    :param canvas: ``{"Width": …, "Height": …, "Color": …}``, under VOD's names. Templated.
    :param kwargs: what `VodSubmitOperator` takes.
    """

    _own_fields: ClassVar[Sequence[str]] = ("tracks", "output_file", "canvas")
    template_fields: Sequence[str] = (*VodSubmitOperator.template_fields, *_own_fields)

    def __init__(
        self,
        *,
        tracks: Sequence[Any] | XComArg,
        output_file: Mapping[str, Any] | XComArg,
        canvas: Mapping[str, Any] | XComArg | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(action="ComposeMedia", **kwargs)
        self.tracks: Any = tracks
        self.output_file: Any = output_file
        self.canvas: Any = canvas
        self._check_if_known()

    def own_parameters(self) -> dict[str, Any]:
        """Check the tracks."""
        for track in _list("tracks", self.tracks):
            if not isinstance(track, Mapping) or track.get("Type") not in _TRACK_TYPES or not track.get("TrackItems"):
                raise VodSettingsError(
                    f"tracks has {track!r:.100}, but a track has a Type ({', '.join(_TRACK_TYPES)}) and TrackItems."
                )
        if not isinstance(self.output_file, Mapping):
            raise VodSettingsError(
                f"output_file is {self.output_file!r:.100}, but must be a dictionary such as {{'FileName': …}}."
            )
        return {"Tracks": self.tracks, "Output": self.output_file, "Canvas": self.canvas}


class VodProcessMediaOperator(VodMediaOperator):
    """Transcodes, takes snapshots, recognises: runs templates or a whole procedure on a file.

    :param file_id: the media file. Templated; takes the output of other tasks.
    :param procedure_name: a procedure (task flow) of the application (ProcessMediaByProcedure). Templated.
    :param tasks: instead: ``{"TranscodeTaskSet": [{"Definition": 100010}], …}``, VOD's ``MediaProcessTask`` (ProcessMedia).
        Templated. AI tasks can be given in `parameters`.
    :param kwargs: what `VodSubmitOperator` takes.
    """

    _own_fields: ClassVar[Sequence[str]] = ("file_id", "procedure_name", "tasks")
    template_fields: Sequence[str] = (*VodSubmitOperator.template_fields, *_own_fields)

    def __init__(
        self,
        *,
        file_id: str | XComArg,
        procedure_name: str | None = None,
        tasks: Mapping[str, Any] | XComArg | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(action="ProcessMediaByProcedure" if procedure_name else "ProcessMedia", **kwargs)
        self.file_id: Any = file_id
        self.procedure_name = procedure_name
        self.tasks: Any = tasks
        self._check_if_known()

    def own_parameters(self) -> dict[str, Any]:
        """Name the file and what is to be done with it."""
        if self.procedure_name and self.tasks is not None:
            raise VodSettingsError("Give either procedure_name or tasks.")
        by_ai = [name for name in self.parameters if name.startswith("Ai")]
        if not (self.procedure_name or self.tasks or by_ai):
            raise VodSettingsError("There is nothing to do with the file: give procedure_name or tasks.")
        if self.tasks is not None and not isinstance(self.tasks, Mapping):
            raise VodSettingsError(
                f"tasks is {self.tasks!r:.100}, but must be a dictionary such as {{'TranscodeTaskSet': […]}}."
            )
        return {
            "FileId": _text("file_id", self.file_id),
            "ProcedureName": self.procedure_name,
            "MediaProcessTask": self.tasks,
        }


class VodPullUploadOperator(VodMediaOperator):
    """Lets VOD fetch a file from a URL and keep it (PullUpload).

    :param url: HTTP or HTTPS URL that VOD can reach. Templated; takes the output of other tasks.
    :param media_name: name of the new file. Templated.
    :param class_id: category of the new file.
    :param expire_time: when VOD deletes the new file, in ISO 8601; None for never. Templated.
    :param procedure_name: a procedure that VOD runs on the new file afterwards. Templated.
    :param kwargs: what `VodSubmitOperator` takes; ``parameters`` may hold further parameters of PullUpload.
    """

    _own_fields: ClassVar[Sequence[str]] = ("url", "media_name", "expire_time", "procedure_name")
    template_fields: Sequence[str] = (*VodSubmitOperator.template_fields, *_own_fields)

    def __init__(
        self,
        *,
        url: str | XComArg,
        media_name: str | None = None,
        class_id: int | None = None,
        expire_time: str | None = None,
        procedure_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(action="PullUpload", **kwargs)
        self.url: Any = url
        self.media_name = media_name
        self.class_id = class_id
        self.expire_time = expire_time
        self.procedure_name = procedure_name
        self._check_if_known()

    def own_parameters(self) -> dict[str, Any]:
        """Check the URL. It may be signed, so messages do not repeat it."""
        url = _text("url", self.url, secret=True)
        if not url.lower().startswith(("http://", "https://", "{{", "{%")):
            raise VodSettingsError("url must begin with http:// or https://: VOD fetches nothing else.")
        return {
            "MediaUrl": url,
            "MediaName": self.media_name,
            "ClassId": self.class_id,
            "ExpireTime": self.expire_time,
            "Procedure": self.procedure_name,
        }


def _is_plain(value: Any) -> bool:
    """Say whether a value is known when a DAG is parsed; other tasks' outputs are not."""
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(map(_is_plain, value.values()))
    return value is None or isinstance(value, (str, int, float))


def _list(name: str, value: Any) -> list[Any]:
    if isinstance(value, str) and "{" in value and "{{" in value:
        return [value]  # a template; it is checked again when it is rendered
    if isinstance(value, (str, bytes, Mapping)) or not hasattr(value, "__iter__"):
        raise VodSettingsError(
            f"{name} is {value!r:.200}, but must be a list. If a template rendered it as text, give the task's own output, "
            "`task.output`, or set render_template_as_native_obj=True on the DAG."
        )
    found = list(value)
    if not found:
        raise VodSettingsError(f"{name} is an empty list: there is nothing to make a file of.")
    return found


def _text(name: str, value: Any, limit: int | None = None, *, secret: bool = False) -> Any:
    if value is None and limit is not None:
        return None
    if not isinstance(value, str) or value.strip() in ("", "None"):
        shown = type(value).__name__ if secret else f"{value!r:.200}"
        raise VodSettingsError(
            f"{name} is {shown}, but must be text. Check the template, or the task whose output it takes."
        )
    if limit is not None and len(value) > limit and "{{" not in value:
        raise VodSettingsError(f"{name} is {len(value)} characters long; VOD takes at most {limit}.")
    return value


def _whole(file: Any) -> dict[str, Any]:
    return {"file_id": file.get("file_id") if isinstance(file, Mapping) else file}


def _clip(clip: Any) -> dict[str, Any]:
    """Write one input of EditMedia."""
    given = dict(clip) if isinstance(clip, Mapping) else {"file_id": clip}
    if unknown := sorted(given.keys() - {"file_id", "start", "end"}):
        raise VodSettingsError(f"clips has the unknown key {unknown[0]!r:.80}; a clip has file_id, start and end.")
    start, end = _seconds("start", given.get("start")), _seconds("end", given.get("end"))
    if start is not None and end is not None and end <= start:
        raise VodSettingsError(f"clips ends at {end:g} s, which is not after its start at {start:g} s.")
    offsets = {"StartTimeOffset": start, "EndTimeOffset": end}
    return {"FileId": _text("file_id", given.get("file_id"))} | {
        name: value for name, value in offsets.items() if value is not None
    }


def _seconds(name: str, value: Any) -> float | None:
    if value is None or (isinstance(value, str) and "{{" in value):
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise VodSettingsError(
            f"{name} of a clip is {value!r:.80}, but must be seconds from the beginning of the file."
        )
    return seconds


def _stream(stream: Any) -> dict[str, Any]:
    """Write one stream input of EditMedia."""
    names = {"stream_id": "StreamId", "start_time": "StartTime", "end_time": "EndTime"}
    if not isinstance(stream, Mapping) or stream.keys() != names.keys():
        raise VodSettingsError(f"streams has {stream!r:.200}, but a stream has exactly {', '.join(names)}.")
    return {names[name]: _text(name, value) for name, value in stream.items()}
