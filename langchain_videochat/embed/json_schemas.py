"""JSON schemas: for tool calls, and narrowed to what constrained decoding can enforce."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_videochat.errors import InputError

DECIMALS = 6
PRECISION = 10**-DECIMALS
"""Default `multipleOf`: with unlimited decimals, a number could round to an excluded bound."""

MAX_NUMBER = 10**15
"""Default bound of numbers. A float represents all digits up to it."""

_DAY = "[12][0-9]{3}-((0[13-9]|1[0-2])-(0[1-9]|[12][0-9]|30)|(0[13578]|1[02])-31|02-(0[1-9]|1[0-9]|2[0-8]))"
_TIME = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
_LABEL = "[a-z]([a-z0-9]{0,20}[a-z0-9])?"
_HOST = f"{_LABEL}(\\.{_LABEL}){{0,3}}\\.(com|net|org)"
FORMATS = {
    "date": _DAY,
    "time": _TIME,
    "date-time": f"{_DAY}T{_TIME}",
    "duration": "P([0-9]{1,4}D|([0-9]{1,4}D)?T[0-9]{1,4}(H|M|S))",
    "email": f"[a-z][a-z0-9]{{0,30}}@{_HOST}",
    "hostname": _HOST,
    "ipv4": "((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])",
    "ipv6": "([0-9a-f]{1,4}:){7}[0-9a-f]{1,4}",
    "uri": f"https?://{_HOST}(/[a-zA-Z0-9_-]{{0,50}}){{0,8}}",
    "uuid": "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
    "binary": "",
    "password": "",
    "path": "",
}
"""Formats of strings as regular expressions, narrow enough for all validators to agree; "" is any string."""

_SCALARS: list[dict[str, Any]] = [{"type": kind} for kind in ("string", "number", "boolean", "null")]
_ANY = {
    "anyOf": [
        *_SCALARS,
        {"type": "array", "items": {"anyOf": _SCALARS}},
        {"type": "object", "additionalProperties": {"anyOf": _SCALARS}},
    ]
}
"""Replaces an empty schema, with limited nesting."""


def tool_schema(tools: Sequence[Mapping[str, Any]], choice: str | None = None) -> dict[str, Any]:
    """Return a schema for a call of one of several tools: `{"name": ..., "arguments": {...}}`.

    Args:
        tools: Tools in OpenAI's format.
        choice: Name of the tool to call; any of them if None.

    Raises:
        InputError: There are no tools, or none with that name.

    Example:
        >>> schema = tool_schema([{"type": "function", "function": {"name": "stop", "parameters": {"type": "object"}}}])
        >>> schema["anyOf"][0]["properties"]["name"]
        {'const': 'stop'}
    """
    functions = {tool["function"]["name"]: tool["function"] for tool in tools}
    chosen = [name for name in functions if choice in (None, name)]
    if not chosen:
        raise InputError("choice", f"unknown tool {choice!r} among {list(functions)}", "Choose one of the tools")
    empty = {"type": "object", "properties": {}}
    # The parameters of each tool, with their definitions, are moved below $defs.
    places = {name: f"#/$defs/{name}" for name in chosen}
    return {
        "anyOf": [
            {
                "type": "object",
                "properties": {"name": {"const": name}, "arguments": {"$ref": place}},
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
            for name, place in places.items()
        ],
        "$defs": {name: _moved(functions[name].get("parameters") or empty, place) for name, place in places.items()},
    }


def _moved(node: Any, place: str) -> Any:
    """Return a copy of a schema whose references are valid below another place."""
    if isinstance(node, list):
        return [_moved(item, place) for item in node]
    if not isinstance(node, dict):
        return node
    moved = {key: _moved(value, place) for key, value in node.items()}
    reference = node.get("$ref")
    if isinstance(reference, str) and reference.startswith("#"):
        moved["$ref"] = place + reference[1:]
    return moved


def narrow_schema(node: Any) -> Any:
    """Narrow a schema to values that every parser handles, for example numbers of limited length."""
    if isinstance(node, bool):
        return _ANY if node else False
    narrowed = {key: value for key, value in node.items() if key not in _ANNOTATIONS}
    if not narrowed:
        return _ANY
    for key in narrowed.keys() & _WITH_SCHEMA:
        narrowed[key] = narrow_schema(narrowed[key])
    for key in narrowed.keys() & _WITH_LIST:
        narrowed[key] = [narrow_schema(item) for item in narrowed[key]]
    for key in narrowed.keys() & _WITH_NAMES:
        narrowed[key] = {name: narrow_schema(item) for name, item in narrowed[key].items()}
    if not narrowed.keys() & {"enum", "const"}:
        kinds = narrowed.get("type", "object" if "properties" in narrowed else "")
        for kind in [kinds] if isinstance(kinds, str) else kinds:
            narrowed = _NARROW.get(kind, dict)(narrowed)
    return narrowed


def _narrow_object(node: dict[str, Any]) -> dict[str, Any]:
    """Allow no additional keys, unless the schema names none."""
    named = node.keys() & {"properties", "patternProperties"}
    narrowed = {"type": "object", "additionalProperties": False if named else _ANY} | node
    if narrowed["additionalProperties"] is not False and node.get("minProperties", 0) > 1:
        problem = "minProperties cannot be enforced, because keys may repeat"
        raise InputError("schema", problem, "List the keys in properties")
    return narrowed


def _narrow_array(node: dict[str, Any]) -> dict[str, Any]:
    return {"items": _ANY} | node


def _narrow_string(node: dict[str, Any]) -> dict[str, Any]:
    if "format" not in node:
        return node
    narrowed = dict(node)
    name = narrowed.pop("format")
    if name not in FORMATS or "pattern" in node:
        problem = f"the format {name!r} cannot be enforced" + (" together with a pattern" if name in FORMATS else "")
        raise InputError("schema", problem, "Use a pattern alone, or a plain string")
    return narrowed | ({"pattern": f"^({FORMATS[name]})$"} if FORMATS[name] else {})


def _narrow_integer(node: dict[str, Any]) -> dict[str, Any]:
    return _bounded(node, 1)


def _narrow_number(node: dict[str, Any]) -> dict[str, Any]:
    excluded = max(abs(node.get(key, 0)) for key in ("exclusiveMinimum", "exclusiveMaximum"))
    step = PRECISION if excluded < MAX_NUMBER * PRECISION else 1
    return {"multipleOf": step} | _bounded(node, step)


def _bounded(node: dict[str, Any], step: float) -> dict[str, Any]:
    """Set inclusive bounds on both sides: llguidance 1.9 accepts 0 as above 0 and below 0.5."""
    bounded = dict(node)
    lows = [bounded.pop("minimum", None), _inside(bounded.pop("exclusiveMinimum", None), step)]
    highs = [bounded.pop("maximum", None), _inside(bounded.pop("exclusiveMaximum", None), -step)]
    low = max((bound for bound in lows if bound is not None), default=None)
    high = min((bound for bound in highs if bound is not None), default=None)
    bounded["minimum"] = min(high or 0, 0) - MAX_NUMBER if low is None else low
    bounded["maximum"] = max(low or 0, 0) + MAX_NUMBER if high is None else high
    return bounded


def _inside(bound: float | None, step: float) -> float | None:
    """Return the number next to an exclusive bound."""
    if bound is None:
        return None
    if abs(step) == 1:
        return math.floor(bound) + 1 if step > 0 else math.ceil(bound) - 1
    return round(bound + step, DECIMALS)


_ANNOTATIONS = {
    *("$comment", "$id", "$schema", "default", "deprecated", "description", "discriminator", "examples"),
    *("readOnly", "title", "writeOnly", "x-guidance"),
}
_WITH_SCHEMA = {"additionalProperties", "items"}
_WITH_LIST = {"allOf", "anyOf", "oneOf", "prefixItems"}
_WITH_NAMES = {"$defs", "definitions", "patternProperties", "properties"}
_NARROW = {
    "array": _narrow_array,
    "integer": _narrow_integer,
    "number": _narrow_number,
    "object": _narrow_object,
    "string": _narrow_string,
}


def iter_subschemas(node: Any) -> Iterator[dict[str, Any]]:
    """Yield a schema and all schemas inside it."""
    if isinstance(node, bool):
        return
    yield node
    children = [node[key] for key in node.keys() & _WITH_SCHEMA]
    children += [child for key in node.keys() & _WITH_LIST for child in node[key]]
    children += [child for key in node.keys() & _WITH_NAMES for child in node[key].values()]
    for child in children:
        yield from iter_subschemas(child)
