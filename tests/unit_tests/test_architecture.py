"""The rooms of the package import only downwards, and nothing heavy before it is used."""

import ast
import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import langchain_videochat

PACKAGE = Path(langchain_videochat.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
ROOMS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))

FOUNDATIONS = {"errors", "models", "utils"}
PUBLIC_ROOMS = sorted(set(ROOMS) - {"cli", "models", "utils"})
TEXT_ROOMS = {"media", "perception", "timeline", "store", "text"}
MAY_IMPORT = {
    "errors": set[str](),
    "utils": {"errors"},
    "models": {"errors", "utils"},
    "media": FOUNDATIONS,
    "perception": FOUNDATIONS | {"media"},
    "timeline": FOUNDATIONS | {"media", "perception"},
    "store": FOUNDATIONS | {"media", "perception", "timeline"},
    "text": FOUNDATIONS | {"media", "perception", "timeline", "store"},
    "embed": FOUNDATIONS | {"media"},
    "instruct": FOUNDATIONS | TEXT_ROOMS | {"embed"},
    "training": FOUNDATIONS | TEXT_ROOMS | {"embed", "instruct"},
    "evaluation": FOUNDATIONS | TEXT_ROOMS | {"embed", "instruct", "training"},
    "app": FOUNDATIONS | set(ROOMS) - {"cli"},
    "cli": FOUNDATIONS | set(ROOMS),
}
"""What each room may import of the package, beside itself."""

HEAVY = {"torch", "chromadb", "av", "numpy", "langchain_core", "cv2", "transformers", "onnxruntime", "rapidocr"}


def name_of(module: Path) -> str:
    """Name a module for a test's report."""
    return module.relative_to(PACKAGE).as_posix()


def room_of(module: Path) -> str:
    """Name the folder of the package that a module lies in, or the module itself where it lies in none."""
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(module: Path) -> Iterator[str]:
    """Name the rooms that a module imports from, inside functions too."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith("langchain_videochat."))


@pytest.mark.parametrize("module", [one for one in MODULES if one != PACKAGE / "__init__.py"], ids=name_of)
def test_a_room_imports_only_what_lies_above_it(module: Path) -> None:
    room = room_of(module)

    assert set(imported_rooms(module)) <= MAY_IMPORT[room] | {room}


def test_imports_inside_functions_are_seen(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text("def answer():\n    from langchain_videochat.store import VideoTimelineStore\n")

    assert list(imported_rooms(module)) == ["store"]


def test_importing_the_package_loads_nothing_heavy() -> None:
    program = f"import sys, langchain_videochat; print(*sorted({HEAVY!r} & set(sys.modules)))"

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert loaded.stdout.split() == []


@pytest.mark.parametrize("name", langchain_videochat.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    assert getattr(langchain_videochat, name).__name__ == name
    assert name in dir(langchain_videochat)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="VideoChatTelepathy"):
        langchain_videochat.VideoChatTelepathy  # noqa: B018


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()


@pytest.mark.parametrize("module", [one for one in MODULES if "cli" not in one.parts], ids=name_of)
def test_the_library_does_not_print(module: Path) -> None:
    calls = [node.func for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Call)]

    assert "print" not in [call.id for call in calls if isinstance(call, ast.Name)]


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_imports_are_absolute(module: Path) -> None:
    imports = [node for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.ImportFrom)]

    assert all(node.level == 0 for node in imports)


def exported(room: ModuleType) -> Iterator[tuple[str, object]]:
    """List the classes and functions that a room offers."""
    for name in room.__all__:
        value = getattr(room, name)
        if inspect.isclass(value) or inspect.isroutine(value):
            yield name, value


@pytest.mark.parametrize("room", PUBLIC_ROOMS)
def test_everything_public_is_documented(room: str) -> None:
    offered = dict(exported(importlib.import_module(f"langchain_videochat.{room}")))

    assert offered
    # A dataclass without a docstring gets its signature as one.
    assert [name for name, value in offered.items() if (value.__doc__ or name).startswith(name)] == []
