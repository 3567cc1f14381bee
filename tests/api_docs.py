"""The pages of the API documentation: `python -m tests.api_docs FOLDER` writes them, and fails where one is wrong.

pdoc makes them. It is handed what it does not see by itself, as names that are imported when they are first used, and
spared what only LangChain, pydantic and transformers look for in a class.
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

BESIDE_ROOMS = ("errors", "text.files", "text.question_answering", "text.toolkit")
"""Modules with public names that the `__init__` of their room does not offer."""

SECTIONS = {"Args", "Example", "Raises", "Returns", "Yields"}
"""What a docstring may have."""


def build(folder: Path) -> list[str]:
    """Write the pages, and tell what is wrong with them."""
    modules = [load(name) for name in list_pages()]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", DeprecationWarning)  # of libraries, where pdoc looks into them
        pages = {module.__name__: read(module) for module in modules}
        errors = {name for page in pages.values() for name, value in vars(page.obj).items() if _is_error(value)}
        for page in pages.values():
            lead_on(page, pages)
        problems = [problem for page in pages.values() for problem in find_problems(page, errors)]
        pdoc.render.configure(docformat="google", show_source=False)
        for name, page in pages.items():
            _write(folder / f"{name.replace('.', '/')}.html", pdoc.render.html_module(page, pages))
        _write(folder / "index.html", pdoc.render.html_index(pages))
        _write(folder / "search.js", pdoc.render.search_index(pages))
    return problems + [str(one.message) for one in caught]


def list_pages() -> list[str]:
    """Name the modules that have a page: every folder of the package that says what it offers, and a few beside."""
    root = Path(langchain_videochat.__file__).parent
    folders = [".".join(path.parent.relative_to(root.parent).parts) for path in root.rglob("__init__.py")]
    rooms = [folder for folder in folders if hasattr(import_module(folder), "__all__")]
    return sorted([*rooms, *(f"{PACKAGE}.{module}" for module in BESIDE_ROOMS)])


def load(name: str) -> ModuleType:
    """Import a module with all that it offers: pdoc does not ask a module's `__getattr__`."""
    module = import_module(name)
    for public in getattr(module, "__all__", ()):
        setattr(module, public, getattr(module, public))
    return module


def read(module: ModuleType) -> Module:
    """Read what a module offers, as its readers should see it."""
    page = Module(module)
    imports = [node for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.ImportFrom)]
    sources = {alias.name: str(node.module) for node in imports for alias in node.names}
    for member in page.members.values():
        if isinstance(member, Variable) and member.name in sources:
            # Its docstring stands where it is defined.
            member.docstring = Module.from_name(sources[member.name]).members[member.name].docstring
        _tidy(member)
    return page


def lead_on(page: Module, pages: dict[str, Module]) -> None:
    """List the pages below a page, and the names that it offers and they describe: each is described only once."""
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
    names = f"Offered by `{page.fullname}`, and described on the pages below:"
    for title, lead, docs in (("Names", names, sorted(elsewhere.values(), key=_name)), ("Pages", "", page.submodules)):
        if docs:
            summaries = [(doc.fullname, doc.docstring.partition("\n\n")[0].replace("\n", " ")) for doc in docs]
            lines = [f"- `{name}`: {summary}" for name, summary in summaries]
            page.docstring = "\n".join([page.docstring, "", f"## {title}", "", lead, "", *lines])


def find_problems(page: Module, errors: Collection[str]) -> Iterator[str]:
    """Tell which docstrings name what is not there, or would be shown otherwise than they are meant.

    Args:
        page: The page.
        errors: What can be raised, beside what Python has.
    """
    for doc in page.flattened_own_members:
        if not doc.docstring and not doc.name.startswith("_"):
            yield f"{doc.fullname} has no docstring"
        for one in (doc, *(doc.own_members if isinstance(doc, Class) else ())):
            if not isinstance(one, Variable):
                yield from (f"{one.fullname}: {wrong!r} cannot be understood" for wrong in _wrong(one, errors))


def _wrong(doc: Doc[Any], errors: Collection[str]) -> Iterator[str]:
    # What pdoc takes for the heading of a section, and what only reStructuredText takes for the beginning of code.
    yield from set(re.findall(r"^([A-Z][A-Z a-z]+):$", doc.docstring, re.MULTILINE)) - SECTIONS
    yield from re.findall(r"^.*::$", doc.docstring, re.MULTILINE)
    if arguments := _entries(doc.docstring, "Args"):
        yield from arguments - inspect.signature(doc.obj).parameters.keys()
    yield from _entries(doc.docstring, "Raises") - set(errors) - vars(builtins).keys()


def _entries(docstring: str, section: str) -> set[str]:
    found = re.search(rf"^{section}:\n((?:[ ].*\n?|\n)+)", docstring, re.MULTILINE)
    return set(re.findall(r"^[ ]{4}\**([\w.]+):", found[1], re.MULTILINE)) if found else set()


def _tidy(doc: Doc[Any]) -> None:
    """Take out of a member what only programs read."""
    doc.docstring = re.sub(r" *# doctest: .*", "", doc.docstring) if doc.name != "__init__" else ""
    if isinstance(doc, Variable):
        # Without what Annotated tells pydantic. The hint is a type already, so that nothing has to be found for it.
        doc.annotation = get_type_hints(SimpleNamespace(__annotations__={"it": doc.annotation}))["it"]
        if doc.default_value is PydanticUndefined:
            doc.default_value = empty
    if isinstance(doc, Class):
        if "__orig_bases__" not in vars(doc.obj):  # else pdoc takes those of a class above
            bases = [base for base in doc.obj.__bases__ if base is not object]
            doc.bases = [(base.__module__, base.__qualname__, f"{base.__module__}.{base.__name__}") for base in bases]
        doc.bases = [base for base in doc.bases if not base[1].startswith("_")]
        doc.own_members = [member for member in doc.own_members if _is_for_readers(member, doc.obj)]
        doc.members = {member.name: member for member in doc.own_members}  # what is linked to
        for member in doc.own_members:
            _tidy(member)
    elif _is_operator(doc):
        doc.docstring += "\n\n<!-- @public -->"  # by which pdoc knows it, and nobody sees it


def _is_for_readers(member: Doc[Any], owner: type) -> bool:
    """Tell whether a member of a class is there for its readers, and not for the library that it builds on."""
    is_public = not member.name.startswith("_")
    if isinstance(member, Variable):
        return is_public and (bool(member.docstring) or member.default_value is empty)
    if member.name == "__init__":
        # That of a dataclass takes whatever the library's dataclass takes, too.
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
    parser = argparse.ArgumentParser(prog="python -m tests.api_docs", description="Write the API documentation.")
    parser.add_argument("folder", type=Path)
    found = build(parser.parse_args().folder)
    sys.exit("\n".join(found) or None)
