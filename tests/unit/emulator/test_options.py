"""Options are validated on creation."""

from __future__ import annotations

import ast
import inspect
from dataclasses import fields

import pytest

from airflow_vod.emulator import EmulatorOptions, options


@pytest.mark.parametrize(
    ("name", "value"),
    [("empty", "nothing"), ("mode", "pull"), ("bad_handle", None), ("hold", -1), ("rtt", -0.1), ("batch", 0)],
)
def test_a_value_that_no_option_has_is_refused(name: str, value: object):
    """A value outside the choices or range is refused."""
    with pytest.raises(ValueError, match=name):
        EmulatorOptions(**{name: value})


def test_every_option_is_explained():
    """Each field has a docstring; an uncertain one gives the reason for its default."""
    (definition,) = (
        node
        for node in ast.parse(inspect.getsource(options)).body
        if isinstance(node, ast.ClassDef) and node.name == "EmulatorOptions"
    )
    explained = {
        node.target.id: after.value.value
        for node, after in zip(definition.body, definition.body[1:], strict=False)
        if isinstance(node, ast.AnnAssign) and isinstance(after, ast.Expr)
    }
    assert set(explained) == {field.name for field in fields(EmulatorOptions)}
    uncertain = {name for name, text in explained.items() if "*Uncertain.*" in text}
    assert {"empty", "bad_handle", "pull_in_push_mode", "unknown_sub_app", "abandoned_pull"} <= uncertain
