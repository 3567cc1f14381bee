"""Edits of JSON files that people write: comments, order and layout of everything else are kept."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

DEFAULT_INDENT = "  "

_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*|/\*.*?\*/)
      | (?P<value>"(?:[^"\\\n]|\\.)*"|[^\s{}\[\],:"/]+)
      | (?P<mark>[{}\[\],:])""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class _Token:
    text: str
    start: int
    end: int


@dataclass
class _Node:
    """A value, by its place in the text; `members` are those of an object, by key, None for other values."""

    start: int
    end: int = 0
    members: "dict[str, _Node] | None" = None
    first_key: int = 0
    """Where the first member starts."""

    has_final_comma: bool = False


def set_member(text: str, keys: Sequence[str], value: Any) -> str:
    """Set the member of an object in a JSON text, which may contain comments and final commas.

    Args:
        text: The JSON text of an object.
        keys: The keys that lead to the member. Objects that are missing are added.
        value: The value.

    Raises:
        ValueError: The text is not JSON, or something other than an object has one of the keys.

    Example:
        >>> print(set_member('{"a": {"b": 1}} // old', ["a", "c"], 2))
        {"a": {"b": 1, "c": 2}} // old
    """
    node = _Parser(text).parse()
    return _set(text, node, keys, value, indent=_indent(text, node))


def _set(text: str, node: _Node, keys: Sequence[str], value: Any, indent: str) -> str:
    if node.members is None:
        raise ValueError(f"the value that should contain {keys[0]!r} is not an object")
    key, *rest = keys
    if key in node.members:
        found = node.members[key]
        if rest:
            return _set(text, found, rest, value, indent)
        new_indent = indent if "\n" in text[found.start : found.end] else ""
        return text[: found.start] + _dump(value, new_indent, _line_indent(text, found.start)) + text[found.end :]
    for name in reversed(rest):
        value = {name: value}
    return _add(text, node, key, value, indent)


def _add(text: str, node: _Node, key: str, value: Any, indent: str) -> str:
    """Add a member at the end of an object."""
    members = list((node.members or {}).values())
    close = node.end - 1
    is_in_one_line = bool(members) and "\n" not in text[node.start : node.first_key]
    own_indent = _line_indent(text, node.first_key) if members else _line_indent(text, node.start) + indent
    added = f"{json.dumps(key, ensure_ascii=False)}: {_dump(value, '' if is_in_one_line else indent, own_indent)}"
    last = node.start + len(text[node.start : close].rstrip())  # after a comment, if there is one
    if is_in_one_line and "//" not in text[members[-1].end : close]:
        separator, end = " ", text[last:close]
    else:
        newline = "\r\n" if "\r\n" in text else "\n"
        separator = newline + own_indent
        end = text[last:close] if "\n" in text[last:close] else newline + _line_indent(text, node.start)
    if not members:
        return text[:last] + separator + added + end + text[close:]
    comma = "" if node.has_final_comma else ","
    after = members[-1].end
    return text[:after] + comma + text[after:last] + separator + added + end + text[close:]


def _dump(value: Any, indent: str, line_indent: str) -> str:
    lines = json.dumps(value, ensure_ascii=False, indent=indent or None).split("\n")
    return f"\n{line_indent}".join(lines)


def _line_indent(text: str, place: int) -> str:
    line = text[text.rfind("\n", 0, place) + 1 : place]
    return line[: len(line) - len(line.lstrip())]


def _indent(text: str, root: _Node) -> str:
    return (_line_indent(text, root.first_key) if root.members else "") or DEFAULT_INDENT


class _Parser:
    """Finds the places of objects and their members."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._split()
        self._token = self._advance()

    def parse(self) -> _Node:
        node = self._parse_value()
        if self._token.text:
            raise self._error("the end")
        return node

    def _split(self) -> Iterator[_Token]:
        place = 0
        while place < len(self._text):
            match = _TOKEN.match(self._text, place)
            if match is None:
                raise ValueError(f"line {self._line(place)}: unexpected {self._text[place]!r}")
            place = match.end()
            if match.lastgroup != "space":
                yield _Token(match[0], match.start(), match.end())

    def _advance(self) -> _Token:
        self._token = next(self._tokens, _Token("", len(self._text), len(self._text)))
        return self._token

    def _parse_value(self) -> _Node:
        token = self._token
        if token.text in ("{", "["):
            return self._parse_members(token, is_object=token.text == "{")
        self._check_scalar(token)
        self._advance()
        return _Node(token.start, token.end)

    def _parse_members(self, opening: _Token, *, is_object: bool) -> _Node:
        node = _Node(opening.start)
        members: dict[str, _Node] = {}
        closing = "}" if is_object else "]"
        self._advance()
        while self._token.text != closing:
            if is_object:
                node.first_key = node.first_key or self._token.start
                key = self._parse_key()
                members[key] = self._parse_value()
            else:
                self._parse_value()
            node.has_final_comma = self._token.text == ","
            if node.has_final_comma:
                self._advance()
            elif self._token.text != closing:
                raise self._error(f"',' or '{closing}'")
        node.end = self._token.end
        node.members = members if is_object else None
        self._advance()
        return node

    def _parse_key(self) -> str:
        token = self._token
        if not token.text.startswith('"'):
            raise self._error("a key in quotes")
        self._check_scalar(token)
        if self._advance().text != ":":
            raise self._error("':'")
        self._advance()
        key: str = json.loads(token.text)
        return key

    def _check_scalar(self, token: _Token) -> None:
        try:
            json.loads(token.text)
        except ValueError as error:
            raise self._error("a value") from error

    def _error(self, expected: str) -> ValueError:
        found = repr(self._token.text) if self._token.text else "the end"
        return ValueError(f"line {self._line(self._token.start)}: expected {expected}, found {found}")

    def _line(self, place: int) -> int:
        return self._text.count("\n", 0, place) + 1
