"""Renders the API reference with pdoc: `python -m tests.api_docs FOLDER`. Mistakes in docstrings are errors.

This adds what pdoc does not find by itself, such as names that are imported lazily, and hides members that exist only
for LangChain, pydantic or transformers. No page or setting is maintained beside the docstrings.
"""

import argparse
import ast
import builtins
import dataclasses
import inspect
import re
import sys
import warnings
from collections.abc import Collection, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, get_type_hints

import pdoc.render
from pdoc.doc import Class, Doc, Module, Variable
from pdoc.doc_types import empty
from pydantic_core import PydanticUndefined

import langchain_videochat

PACKAGE = langchain_videochat.__name__

EXTRA_MODULES = ("errors", "text.agent_files", "text.middleware", "text.question_answering", "text.toolkit")
"""Modules with public names that their package does not export."""

SECTIONS = {"Args", "Example", "Raises", "Returns", "Yields"}
"""Sections that a docstring may have."""


def build(folder: Path) -> list[str]:
    """Write the pages, and return the problems found."""
    modules = [load(name) for name in list_pages()]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", DeprecationWarning)  # from libraries that pdoc inspects
        pages = {module.__name__: read(module) for module in modules}
        errors = {name for page in pages.values() for name, value in vars(page.obj).items() if _is_error(value)}
        for page in pages.values():
            add_index(page, pages)
        problems = [problem for page in pages.values() for problem in find_problems(page, errors)]
        pdoc.render.configure(docformat="google", show_source=False)
        for name, page in pages.items():
            _write(folder / f"{name.replace('.', '/')}.html", pdoc.render.html_module(page, pages))
        _write(folder / "index.html", pdoc.render.html_index(pages))
        _write(folder / "search.js", pdoc.render.search_index(pages))
    return problems + [str(one.message) for one in caught]


def list_pages() -> list[str]:
    """Return the modules that have a page: every package with an `__all__`, and `EXTRA_MODULES`."""
    root = Path(langchain_videochat.__file__).parent
    folders = [".".join(path.parent.relative_to(root.parent).parts) for path in root.rglob("__init__.py")]
    packages = [folder for folder in folders if hasattr(import_module(folder), "__all__")]
    return sorted([*packages, *(f"{PACKAGE}.{module}" for module in EXTRA_MODULES)])


def load(name: str) -> ModuleType:
    """Import a module and its lazy exports, as pdoc does not call a module's `__getattr__`."""
    module = import_module(name)
    for public in getattr(module, "__all__", ()):
        setattr(module, public, getattr(module, public))
    return module


def read(module: ModuleType) -> Module:
    """Collect the public members of a module."""
    page = Module(module)
    imports = [node for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.ImportFrom)]
    sources = {alias.name: str(node.module) for node in imports for alias in node.names}
    for member in page.members.values():
        if isinstance(member, Variable) and member.name in sources:
            # Docstrings of variables are in the module that defines them.
            member.docstring = Module.from_name(sources[member.name]).members[member.name].docstring
        _tidy(member)
    return page


def add_index(page: Module, pages: dict[str, Module]) -> None:
    """List subpages, and names that are exported by a page but described on a subpage."""
    below = [pages[name] for name in sorted(pages, key=len) if name.startswith(f"{page.fullname}.")]
    page.submodules = sorted(one for one in below if one.fullname.rpartition(".")[0] == page.fullname)
    elsewhere = {
        name: one.members[name]
        for one in below
        for name in one.members.keys() & page.members.keys()
        if vars(one.obj)[name] is vars(page.obj)[name]
    }
    for name in elsewhere:
        del page.members[name]
    names = f"Exported by `{page.fullname}`, described on these pages:"
    for title, lead, docs in (("Names", names, sorted(elsewhere.values(), key=_name)), ("Pages", "", page.submodules)):
        if docs:
            summaries = [(doc.fullname, doc.docstring.partition("\n\n")[0].replace("\n", " ")) for doc in docs]
            lines = [f"- `{name}`: {summary}" for name, summary in summaries]
            page.docstring = "\n".join([page.docstring, "", f"## {title}", "", lead, "", *lines])


def find_problems(page: Module, errors: Collection[str]) -> Iterator[str]:
    """Yield docstrings that are missing, name unknown arguments or errors, or have invalid sections.

    Args:
        page: The page.
        errors: Names of errors that may be raised, besides built-in ones.
    """
    for doc in page.flattened_own_members:
        if not doc.docstring and not doc.name.startswith("_"):
            yield f"{doc.fullname} has no docstring"
        for one in (doc, *(doc.own_members if isinstance(doc, Class) else ())):
            if not isinstance(one, Variable):
                yield from (f"{one.fullname}: {wrong!r} is not valid" for wrong in _find_mistakes(one, errors))


def _find_mistakes(doc: Doc[Any], errors: Collection[str]) -> Iterator[str]:
    # Unknown section headings, and code blocks that only reStructuredText understands.
    yield from set(re.findall(r"^([A-Z][A-Z a-z]+):$", doc.docstring, re.MULTILINE)) - SECTIONS
    yield from re.findall(r"^.*::$", doc.docstring, re.MULTILINE)
    if arguments := _entries(doc.docstring, "Args"):
        yield from arguments - inspect.signature(doc.obj).parameters.keys()
    yield from _entries(doc.docstring, "Raises") - set(errors) - vars(builtins).keys()


def _entries(docstring: str, section: str) -> set[str]:
    found = re.search(rf"^{section}:\n((?:[ ].*\n?|\n)+)", docstring, re.MULTILINE)
    return set(re.findall(r"^[ ]{4}\**([\w.]+):", found[1], re.MULTILINE)) if found else set()


def _tidy(doc: Doc[Any]) -> None:
    """Remove implementation details from a member."""
    doc.docstring = re.sub(r" *# doctest: .*", "", doc.docstring) if doc.name != "__init__" else ""
    if isinstance(doc, Variable):
        # Strip the metadata of Annotated.
        doc.annotation = get_type_hints(SimpleNamespace(__annotations__={"it": doc.annotation}))["it"]
        if doc.default_value is PydanticUndefined:
            doc.default_value = empty
    if isinstance(doc, Class):
        if "__orig_bases__" not in vars(doc.obj):  # otherwise pdoc shows those of a base class
            bases = [base for base in doc.obj.__bases__ if base is not object]
            doc.bases = [(base.__module__, base.__qualname__, f"{base.__module__}.{base.__name__}") for base in bases]
        doc.bases = [base for base in doc.bases if not base[1].startswith("_")]
        doc.own_members = [member for member in doc.own_members if _is_public_api(member, doc.obj)]
        doc.members = {member.name: member for member in doc.own_members}  # used for links
        for member in doc.own_members:
            _tidy(member)
    elif _is_operator(doc):
        doc.docstring += "\n\n<!-- @public -->"  # makes pdoc show it, and is invisible


def _is_public_api(member: Doc[Any], owner: type) -> bool:
    """Return whether a member of a class is public API, not an override for a base library."""
    is_public = not member.name.startswith("_")
    if isinstance(member, Variable):
        return is_public and (bool(member.docstring) or member.default_value is empty)
    if member.name == "__init__":
        # A dataclass derived from a library's has the library's fields too.
        return _is_ours(member.obj) and all(_is_ours(base) for base in owner.__mro__ if dataclasses.is_dataclass(base))
    return _is_ours(member.obj) and (is_public or _is_operator(member))


def _is_operator(member: Doc[Any]) -> bool:
    return re.match("__(?!init|post_init)", member.name) is not None and bool(member.obj.__doc__)


def _is_ours(value: Any) -> bool:
    return str(value.__module__).startswith(PACKAGE)


def _is_error(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Exception)


def _name(doc: Doc[Any]) -> str:
    return doc.name


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.api_docs", description="Render the API reference.")
    parser.add_argument("folder", type=Path)
    found = build(parser.parse_args().folder)
    sys.exit("\n".join(found) or None)
