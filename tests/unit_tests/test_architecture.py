"""Packages import in one direction only, and importing langchain_videochat loads nothing heavy."""

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
SUBPACKAGES = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))

FOUNDATIONS = {"__version__", "errors", "models", "utils"}
PUBLIC_SUBPACKAGES = sorted(set(SUBPACKAGES) - {"cli", "models", "utils", "workers"})
TEXT = {"media", "perception", "timeline", "store", "text"}
ALLOWED_IMPORTS = {
    "errors": set[str](),
    "utils": {"errors"},
    "models": {"errors", "utils"},
    "media": FOUNDATIONS,
    "perception": FOUNDATIONS | {"media"},
    "timeline": FOUNDATIONS | {"media", "perception"},
    "workers": FOUNDATIONS | {"media", "perception", "timeline"},
    "store": FOUNDATIONS | {"media", "perception", "timeline", "workers"},
    "text": FOUNDATIONS | {"media", "perception", "timeline", "store"},
    "embed": FOUNDATIONS | {"media"},
    "server": FOUNDATIONS | {"media", "embed"},
    "instruct": FOUNDATIONS | TEXT | {"embed"},
    "training": FOUNDATIONS | TEXT | {"embed", "instruct"},
    "evaluation": FOUNDATIONS | TEXT | {"embed", "instruct", "training"},
    "app": FOUNDATIONS | set(SUBPACKAGES) - {"cli", "mcp"},
    "mcp": FOUNDATIONS | TEXT | {"app"},
    "cli": FOUNDATIONS | set(SUBPACKAGES),
}
"""Which other parts of the package each part may import."""

HEAVY = {"torch", "chromadb", "av", "numpy", "langchain_core", "cv2", "transformers", "onnxruntime", "rapidocr"}


TREES = {path.relative_to(PACKAGE): ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")}
"""The syntax trees of all modules, by their path in the package."""


def part_of(module: Path) -> str:
    """Return the subpackage that contains a module, or the name of a top-level module."""
    return module.parts[0].removesuffix(".py")


def imported_parts(tree: ast.Module) -> Iterator[str]:
    """Yield the parts of the package that a module imports, including imports inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith("langchain_videochat."))


def test_modules_import_allowed_parts_only() -> None:
    forbidden = {
        (str(module), imported)
        for module, tree in TREES.items()
        for imported in imported_parts(tree)
        if module != Path("__init__.py") and imported not in ALLOWED_IMPORTS[part_of(module)] | {part_of(module)}
    }

    assert forbidden == set()


def test_imports_inside_functions_are_found() -> None:
    tree = ast.parse("def answer():\n    from langchain_videochat.store import VideoTimelineStore\n")

    assert list(imported_parts(tree)) == ["store"]


def test_importing_the_package_loads_nothing_heavy() -> None:
    program = f"import sys, langchain_videochat; print(*sorted({HEAVY!r} & set(sys.modules)))"

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert loaded.stdout.split() == []


def test_starting_the_mcp_server_loads_nothing_heavy() -> None:
    modules = "langchain_videochat.cli, langchain_videochat.mcp.tool_server, langchain_videochat.mcp.http_app"
    program = f"import sys, {modules}; print(*sorted({HEAVY!r} & set(sys.modules)))"

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert loaded.stdout.split() == []


@pytest.mark.parametrize("name", langchain_videochat.__all__)
def test_public_names_can_be_imported(name: str) -> None:
    assert getattr(langchain_videochat, name).__name__ == name
    assert name in dir(langchain_videochat)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="VideoChatTelepathy"):
        langchain_videochat.VideoChatTelepathy  # noqa: B018


def test_the_package_is_marked_as_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()


def test_only_the_command_line_prints() -> None:
    printing = [
        str(module)
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]

    assert [module for module in printing if part_of(Path(module)) != "cli"] == []


def test_imports_are_absolute() -> None:
    relative = [
        str(module)
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]

    assert relative == []


def exports(package: ModuleType) -> Iterator[tuple[str, object]]:
    """Yield the classes and functions that a subpackage exports."""
    for name in package.__all__:
        value = getattr(package, name)
        if inspect.isclass(value) or inspect.isroutine(value):
            yield name, value


@pytest.mark.parametrize("name", PUBLIC_SUBPACKAGES)
def test_public_classes_and_functions_have_docstrings(name: str) -> None:
    exported = dict(exports(importlib.import_module(f"langchain_videochat.{name}")))

    assert exported
    # The default docstring of a dataclass is its signature.
    assert [name for name, value in exported.items() if (value.__doc__ or f"{name}(").startswith(f"{name}(")] == []
