"""Paths into payloads."""

from __future__ import annotations

import pytest

from airflow_vod.events.paths import values_at


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".", [{"a": [{"b": 1}, 2, {"b": 3}], "c": {"d": {"e": 4}, "f": 5}}]),
        ("a[].b", [1, 3]),
        ("a", [[{"b": 1}, 2, {"b": 3}]]),
        ("c.d.e", [4]),
        ("c.*", [{"e": 4}]),
        ("c[]", []),
        ("a.b", []),
        ("x.y", []),
    ],
)
def test_a_path_yields_what_is_there(path, found):
    """A path gives values in their order, and nothing where the shape differs."""
    assert list(values_at({"a": [{"b": 1}, 2, {"b": 3}], "c": {"d": {"e": 4}, "f": 5}}, path)) == found
