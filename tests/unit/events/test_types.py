"""The table of event types agrees with the vendor's own description of its data."""

from __future__ import annotations

import dataclasses

import pytest

from airflow_vod.events.types import EVENT_TYPES, EventType, type_of_detail
from tests.unit import vendor

ROWS = list(EVENT_TYPES.values())
PAYLOADS = vendor.payload_fields()
DETAILS = vendor.detail_fields()
DEFAULT_OUTPUTS = EventType("", "").outputs

named = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


def structure_of(row: EventType) -> type:
    """Give the structure of a type; EventContent documents ProcessImageAsync by its settings only."""
    return DETAILS[row.detail] if row.detail else PAYLOADS[row.field]


def test_the_table_has_a_row_for_every_field_of_event_content():
    """A type that the vendor adds to EventContent, or takes out, is named by this test."""
    assert {row.field for row in ROWS} == set(PAYLOADS)


def test_the_table_has_a_row_for_every_documented_event_type():
    """Every name that the vendor's documentation gives to an event type is in the table; one void field has no name."""
    assert set(EVENT_TYPES) == vendor.documented_types() | {"ReduceMediaBitrateComplete"}


@named
def test_a_detail_holds_the_structure_of_the_event(row):
    """DescribeTaskDetail gives the same structure as the event; ProcessImageAsync is the vendor's one exception."""
    if row.detail and row.detail != "ProcessImageAsyncTask":
        assert DETAILS[row.detail] is PAYLOADS[row.field]


@named
def test_a_type_ends_a_task_if_the_vendor_gives_it_a_task_id(row):
    """What has a task id ends a task; of the others, only the two that VOD names complete do."""
    has_task_id = "TaskId" in {field.name for field in vendor.fields(structure_of(row))}
    assert row.ends_task == (has_task_id or row.name in {"RestoreMediaComplete", "PersistenceComplete"})


@named
def test_every_path_leads_somewhere(row):
    """Each path of a row names fields that the vendor's structures have (but for the part of the legacy form)."""
    structure = structure_of(row)
    for part in row.parts:
        if part.path == "ProcessTaskList[]":
            continue
        results = vendor.at(structure, part.path + ".*" * part.nested)
        assert results, part.path
        for result in results:
            names = {field.name for field in vendor.fields(result)}
            assert names & {"ErrCode", "ErrCodeExt"}, result
            assert not part.kind or part.kind in names
        for file in part.files:
            assert any(vendor.at(result, file) for result in results), (part.path, file)
        if part.nested:
            [holder] = vendor.at(structure, part.path)
            names = {field.name for field in vendor.fields(holder)}
            assert {"Type", *(part.makers or ())} <= names
    for path in (*row.findings, *filter(None, [row.metadata])):
        assert vendor.at(structure, path), path
    for file in row.files:
        assert vendor.at(structure, file), file
    names = {field.name for field in vendor.fields(structure)}
    assert row.outputs == DEFAULT_OUTPUTS or set(row.outputs) <= names


@named
def test_a_verdict_is_documented(row):
    """The word that means success is one that the vendor documents for that field."""
    if row.verdict:
        name, good = row.verdict
        assert good in next(field.text for field in vendor.fields(structure_of(row)) if field.name == name)


@named
def test_success_is_asked_of_the_parts_where_the_payload_cannot_tell(row):
    """A type without an error code of its own must have its parts prove success."""
    names = {field.name for field in vendor.fields(structure_of(row))}
    silent = row.ends_task and "TaskId" in names and not names & {"ErrCode", "ErrCodeExt"}
    assert row.proof_in_parts == silent
    assert not (row.parts and row.files)


def test_a_task_without_event_is_named_after_itself():
    """A name that the table lacks gives a row of that name, and spellings of a known one give the known row."""
    assert type_of_detail("AigcAudioTask").name == "AigcAudioComplete"
    assert type_of_detail("editmedia") is EVENT_TYPES["EditMediaComplete"]
    assert type_of_detail("EditMediaTask") is EVENT_TYPES["EditMediaComplete"]


def test_rows_cannot_be_changed():
    """The table is the same for everybody in the process."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        ROWS[0].name = "x"
    with pytest.raises(TypeError):
        EVENT_TYPES["x"] = ROWS[0]
