"""A request for each action that starts a task, written from the vendor's pages."""

from __future__ import annotations

from typing import Any

FILE = {"FileId": "5285485487985271487"}
PICTURE = {"Type": "File", **FILE}
TRANSCODE = {
    "TranscodeTaskSet": [{"Definition": 100030}],
    "AnimatedGraphicTaskSet": [{"Definition": 20000, "StartTimeOffset": 1.0, "EndTimeOffset": 2.0}],
    "SnapshotByTimeOffsetTaskSet": [{"Definition": 10, "TimeOffsetSet": [1.0, 2.0]}],
    "SampleSnapshotTaskSet": [{"Definition": 10}],
    "ImageSpriteTaskSet": [{"Definition": 10}],
    "CoverBySnapshotTaskSet": [{"Definition": 10, "PositionType": "Time", "PositionValue": 1.0}],
    "AdaptiveDynamicStreamingTaskSet": [{"Definition": 10}],
}

REQUESTS: dict[str, dict[str, Any]] = {
    "CloneVoiceAsync": {"AudioUrl": "http://x/a.mp3"},
    "ComposeMedia": {
        "Tracks": [{"Type": "Video", "TrackItems": [{"Type": "Video", "VideoItem": {"SourceMedia": "1"}}]}],
        "Output": {"FileName": "both", "Container": "mp4"},
    },
    "CreateAigcAdvancedCustomElement": {"ElementName": "cat", "ElementDescription": "a cat", "ReferenceType": "image"},
    "CreateAigcAudioClone": {"AudioFileInfo": {"Type": "Url", "Url": "http://x/a.mp3"}, "VoiceId": "v", "Text": "hi"},
    "CreateAigcAudioTask": {"ModelName": "m", "ModelVersion": "1", "Prompt": "rain"},
    "CreateAigcCustomVoice": {"VoiceName": "v", "VoiceUrl": "http://x/a.mp3"},
    "CreateAigcHunyuan3DTask": {"Prompt": "a chair"},
    "CreateAigcImageTask": {"ModelName": "m", "ModelVersion": "1", "Prompt": "a cat", "FileInfos": [PICTURE]},
    "CreateAigcSubject": {"SubjectName": "cat", "SubjectImages": ["http://x/a.png"]},
    "CreateAigcVideoRedrawTask": {"FileInfo": PICTURE, "TaskInfo": {"Style": "ink"}},
    "CreateAigcVideoTask": {
        "ModelName": "m",
        "ModelVersion": "1",
        "Prompt": "a cat",
        "Procedure": "LongVideoPreset",
        "OutputConfig": {"StorageMode": "Permanent"},
    },
    "CreateComplexAdaptiveDynamicStreamingTask": {**FILE, "StreamParaSet": [{"Definition": 10}, {"Definition": 12}]},
    "CreateSceneAigcImageTask": {"SceneInfo": {"Type": "change_clothes"}, "FileInfos": [PICTURE]},
    "CreateSceneAigcVideoTask": {"SceneInfo": {"Type": "product_showcase"}, "FileInfos": [PICTURE]},
    "DescribeAigcFaceInfoAsync": {"FileInfos": [PICTURE]},
    "DescribeFileAttributes": FILE,
    "DesignVoiceAsync": {"Prompt": "deep", "PreviewText": "hi"},
    "EditMedia": {
        "InputType": "File",
        "FileInfos": [{"FileId": "1", "StartTimeOffset": 1.5, "EndTimeOffset": 2.5}, {"FileId": "2"}],
        "OutputConfig": {"MediaName": "both", "Type": "mp4"},
        "ProcedureName": "LongVideoPreset",
    },
    "EnhanceMediaByTemplate": {**FILE, "Definition": 10},
    "EnhanceMediaQuality": {**FILE, "Definition": 10},
    "ExtractBlindWatermark": {"Type": "blind-text", "InputInfo": {"Type": "URL", "Url": "http://x/a.mp4"}},
    "ExtractCopyRightWatermark": {"Url": "http://x/a.mp4"},
    "ExtractTraceWatermark": {"Url": "http://x/a.mp4", **FILE},
    "ImportMediaKnowledge": {**FILE, "Definition": 10, "KnowledgeBaseIds": ["k"]},
    "InspectMediaQuality": {**FILE, "Definition": 10},
    "LiveRealTimeClip": {
        "StreamId": "s",
        "StartTime": "2026-01-01T00:00:00Z",
        "EndTime": "2026-01-01T00:01:00Z",
        "IsPersistence": 1,
        "Procedure": "LongVideoPreset",
    },
    "ProcessImageAsync": {**FILE, "ImageTaskInput": {"Definition": 10}},
    "ProcessMedia": {**FILE, "MediaProcessTask": TRANSCODE, "TasksPriority": 1},
    "ProcessMediaByMPS": {**FILE, "AiAnalysisTask": {"Definition": 10}},
    "ProcessMediaByProcedure": {**FILE, "ProcedureName": "everything"},
    "ProcessMediaByUrl": {"InputInfo": {"Url": "http://x/a.mp4"}},
    "PullUpload": {"MediaUrl": "http://x/a.mov?k=v", "MediaName": "a", "Procedure": "LongVideoPreset"},
    "RebuildMedia": {**FILE, "RepairInfo": {"Switch": "ON"}, "HDRInfo": {"Switch": "OFF"}},
    "RebuildMediaByTemplate": {**FILE, "Definition": 10},
    "RemoveWatermark": FILE,
    "ReviewAudioVideo": {**FILE, "Definition": 10, "ReviewContents": ["Media"]},
    "SimpleHlsClip": {"Url": "http://x/a.m3u8", "IsPersistence": 1, "Procedure": "LongVideoPreset"},
    "SplitMedia": {
        **FILE,
        "Segments": [
            {"StartTimeOffset": 0.0, "EndTimeOffset": 5.0, "ProcedureName": "LongVideoPreset"},
            {"StartTimeOffset": 5.0, "EndTimeOffset": 9.0, "OutputConfig": {"MediaName": "second", "Type": "hls"}},
        ],
    },
    "TextToSpeechAsync": {"Text": "hi", "VoiceId": "v"},
    "VideoDepthEstimation": {"Url": "http://x/a.mp4"},
    "WeChatMiniProgramPublish": FILE,
}
"""Action to parameters, without SessionId and SessionContext."""
