"""The layout of the package: which room may import which, how large its modules are, and that nothing goes in circles.

Everything is read from the code itself; imports count wherever they stand, also inside functions and for types alone.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "airflow_vod"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "versions" not in path.relative_to(PACKAGE).parts)

FLOORS: tuple[tuple[str, ...], ...] = (
    ("operators",),
    ("sensors", "queues"),
    ("links", "triggers", "plugins"),
    ("cli",),
    ("web", "testing"),
    ("waiting",),
    ("hooks",),
    ("relay", "submission"),
    ("inbox",),
    ("events", "tencent"),
    ("metrics",),
    ("exceptions", "get_provider_info"),
)
"""A room may import those below it and itself, never another of its own floor."""

WITHOUT_AIRFLOW = ("submission", "relay", "inbox", "events", "tencent", "metrics", "exceptions", "emulator")
MAY_IMPORT_THE_EMULATOR = ("testing", "cli")


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def room_of(module: str) -> str:
    """`airflow_vod.inbox.store` is in the room `inbox`; the package itself is in none."""
    return module.split(".")[1] if "." in module else ""


def imports_of(path: Path) -> Iterator[str]:
    """The modules that a file names in imports, as far down as there are files of that name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            base = node.module or ""
            for alias in node.names:
                deeper = PACKAGE.parent / base.replace(".", "/") / alias.name
                is_module = deeper.is_dir() or deeper.with_suffix(".py").exists()
                yield f"{base}.{alias.name}" if is_module else base


GRAPH = {name_of(path): sorted(set(imports_of(path))) for path in MODULES}
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def may_import(room: str, other: str) -> bool:
    if room == other or other == "":
        return True
    if other == "emulator":
        return room in MAY_IMPORT_THE_EMULATOR
    return room != "emulator" and FLOOR_OF[room] < FLOOR_OF[other]


@pytest.mark.parametrize("module", GRAPH)
def test_imports_point_down(module: str) -> None:
    """A module imports from its own room and from rooms below, the emulator from nowhere else."""
    ours = [other for other in GRAPH[module] if other.split(".")[0] == "airflow_vod"]
    assert [other for other in ours if room_of(module) and not may_import(room_of(module), room_of(other))] == []


def test_every_room_has_its_floor() -> None:
    """The picture above names all rooms and no others."""
    assert {room_of(module) for module in GRAPH} - {"", "emulator"} == set(FLOOR_OF)


@pytest.mark.parametrize("module", [module for module in GRAPH if room_of(module) in WITHOUT_AIRFLOW])
def test_the_core_does_without_airflow(module: str) -> None:
    """What brings events into the inbox, and the emulator, work without Airflow at hand."""
    assert [other for other in GRAPH[module] if other.split(".")[0] == "airflow"] == []


def test_no_import_goes_in_a_circle() -> None:
    """Not even inside functions or for types."""
    ours = {module: [other for other in others if other in GRAPH] for module, others in GRAPH.items()}
    # A package's face names what is in it; what is in it does not need the face.
    inside = {
        module: [other for other in others if not module.startswith(f"{other}.")] for module, others in ours.items()
    }
    try:
        TopologicalSorter(inside).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_the_root_is_small() -> None:
    """At most eight modules lie outside of the rooms."""
    assert len(list(PACKAGE.glob("*.py"))) <= 8


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_and_functions_are_short(path: Path) -> None:
    """No module is longer than 350 lines, no function than 50, and nothing is nested deeper than four."""
    text = path.read_text()
    length = len(text.splitlines())
    assert length <= 350
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert [each.name for each in functions if (each.end_lineno or 0) - each.lineno >= 50] == []
    assert [each.name for each in functions if depth_of(each) > 4] == []


BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)


def depth_of(node: ast.AST) -> int:
    """How many blocks stand inside each other; `elif` is no deeper than its `if`."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        deepest = max(deepest, depth_of(child) + (isinstance(child, BLOCKS) and not is_elif))
    return deepest
