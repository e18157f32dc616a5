"""Imports go one way: the diagrams of docs/architecture.md, read together with every import of the source."""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PACKAGES = ("device", "recorder", "provisioning", "simulator")

CONTRACT = {"device", "device.events", "device.errors", "device.readings", "device.record.chain"}
TAKEN_FROM_DEVICE = {
    "recorder": CONTRACT | {"device.record.sealing"},
    "provisioning": {"device", "device.errors", "device.roster_file", "device.rules.roster"},
}
IMPURE = {"time", "threading", "queue", "asyncio", "socket", "sqlite3", "subprocess", "os", "pathlib", "random",
          "secrets", "logging", "gpiozero", "paho"}  # fmt: skip
"""What no rule may import: clocks, threads, the outside."""
CLOCK_CALLS = {"now", "today", "utcnow"}

_NODE = re.compile(r'^ *(\w+)\["([^"]+)"\]$', re.MULTILINE)
_ARROW = re.compile(r"^ *(\w+) -->(?:\|([^|]+)\|)? (\w+)$", re.MULTILINE)


def diagram(heading: str) -> str:
    """The first diagram below a heading."""
    return PAGE.partition(f"\n## {heading}\n")[2].partition("```mermaid\n")[2].partition("```")[0]


ROOMS: dict[str, str] = {
    name: room for room, label in _NODE.findall(diagram("Rooms of the firmware")) for name in label.split(", ")
}
"""Room by module name; a package is written with its slash."""
ARROWS = {
    (one, other): {f"device.{name}" for name in label.split(", ")} if label else None
    for one, label, other in _ARROW.findall(diagram("Rooms of the firmware"))
}
"""What one room may import of another: these modules, or None for all."""


def modules(package: str) -> dict[str, Path]:
    """Every module of a package, by its dotted name."""
    files = sorted((ROOT / package).rglob("*.py"))
    return {
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file for file in files
    }


MODULES = {name: file for package in PACKAGES for name, file in modules(package).items()}
DEVICE = modules("device")


def imports(file: Path) -> set[str]:
    """The modules a file imports, wherever in it; ``from device import check`` is ``device.check``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module is not None, f"{file}: a relative import"
            below = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys()
            found |= below or {node.module}
    return found


def ours(file: Path, package: str) -> set[str]:
    """What a file imports of one of our packages."""
    return {name for name in imports(file) if name.split(".")[0] == package}


def room(module: str) -> str:
    """The room of the firmware that a module is in."""
    name = (module.split(".")[1:] or ["__init__"])[0]
    return ROOMS[f"{name}/" if f"{name}/" in ROOMS else name]


def arrows_used() -> Iterator[tuple[str, str, str]]:
    """Importing module, its target, and ``room -> room`` for every import between rooms."""
    for name, file in DEVICE.items():
        for target in ours(file, "device"):
            if room(name) != room(target):
                yield name, target, f"{room(name)} -> {room(target)}"


@pytest.mark.parametrize("name", DEVICE)
def test_a_module_imports_only_along_the_arrows(name: str) -> None:
    for target in ours(DEVICE[name], "device"):
        one, other = room(name), room(target)
        if one != other:
            assert (one, other) in ARROWS, f"{name} imports {target}: no arrow from {one} to {other}"
            only = ARROWS[one, other]
            assert only is None or target in only, f"{name} imports {target}: only {only} may be taken from {other}"


def test_every_arrow_is_used() -> None:
    used = {arrow for _, _, arrow in arrows_used()}
    assert {f"{one} -> {other}" for one, other in ARROWS} == used
    taken = {target for _, target, _ in arrows_used()}
    assert {name for names in ARROWS.values() for name in names or ()} <= taken


def test_no_arrow_leads_back() -> None:
    before: dict[str, set[str]] = {}
    for one, other in ARROWS:
        before.setdefault(one, set()).add(other)
    TopologicalSorter(before).prepare()


def test_no_two_modules_import_each_other() -> None:
    graph = {name: imports(file) & MODULES.keys() - {name} for name, file in MODULES.items()}
    TopologicalSorter(graph).prepare()


def test_the_packages_are_as_drawn() -> None:
    drawn = {(one, other) for one, _, other in _ARROW.findall(diagram("Four packages"))}
    used = {
        (one, other)
        for one in PACKAGES
        for other in PACKAGES
        if one != other and any(ours(file, other) for file in modules(one).values())
    }
    assert drawn == used
    assert not {arrow for arrow in drawn if arrow[0] == "device"}


@pytest.mark.parametrize("package", TAKEN_FROM_DEVICE)
def test_headquarters_takes_only_the_contract_of_the_firmware(package: str) -> None:
    for name, file in modules(package).items():
        assert ours(file, "device") <= TAKEN_FROM_DEVICE[package], name


@pytest.mark.parametrize("name", [name for name in DEVICE if name.startswith("device.rules")])
def test_a_rule_is_pure(name: str) -> None:
    outside = {target.split(".")[0] for target in imports(DEVICE[name])}
    assert not outside & IMPURE
    tree = ast.parse(DEVICE[name].read_text(encoding="utf-8"))
    calls = {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert not calls & CLOCK_CALLS


def test_the_loop_knows_neither_disk_nor_line_nor_pins() -> None:
    for name in ("device.post", "device.turn", "device.seams"):
        outside = {target.split(".")[0] for target in imports(DEVICE[name])}
        assert not outside & {"sqlite3", "paho", "gpiozero", "socket", "subprocess"}, name


def test_the_page_names_every_module_of_the_firmware_and_no_other() -> None:
    table = re.findall(r"`([\w/]+\.py)`", diagram_table())
    assert sorted(table) == sorted(str(file.relative_to(ROOT / "device")) for file in DEVICE.values())


def diagram_table() -> str:
    """The table of modules, below the rooms."""
    return PAGE.partition("\n## Rooms of the firmware\n")[2].partition("\n## ")[0]
