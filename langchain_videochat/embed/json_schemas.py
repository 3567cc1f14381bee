"""JSON schemas: of tools' calls, and rewritten so that constrained decoding can keep to them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_videochat.errors import InputError

PLACES = 6
DECIMALS = 10**-PLACES
"""What numbers are multiples of, where the schema does not say: endless decimals round to what a bound excludes."""

LARGEST = 10**15
"""Size of numbers, where the schema does not bound them; a float still holds all their digits."""

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
"""Formats of strings as regular expressions, narrow enough that all who check them agree; "" is any string."""

_SCALARS: list[dict[str, Any]] = [{"type": kind} for kind in ("string", "number", "boolean", "null")]
_ANY = {
    "anyOf": [
        *_SCALARS,
        {"type": "array", "items": {"anyOf": _SCALARS}},
        {"type": "object", "additionalProperties": {"anyOf": _SCALARS}},
    ]
}
"""What a schema that says nothing stands for; deeper nesting helps nobody."""


def tool_schema(tools: Sequence[Mapping[str, Any]], choice: str | None = None) -> dict[str, Any]:
    """Make one schema for a call of one of several tools: `{"name": ..., "arguments": {...}}`.

    Args:
        tools: As `convert_to_openai_tool` writes them.
        choice: Name of the only tool that may be called; any of them if None.

    Raises:
        InputError: There is no tool, or none of that name.

    Example:
        >>> schema = tool_schema([{"type": "function", "function": {"name": "stop", "parameters": {"type": "object"}}}])
        >>> schema["anyOf"][0]["properties"]["name"]
        {'const': 'stop'}
    """
    functions = {tool["function"]["name"]: tool["function"] for tool in tools}
    chosen = [name for name in functions if choice in (None, name)]
    if not chosen:
        raise InputError("choice", f"there is no tool {choice!r} among {list(functions)}", "Name one of the tools")
    empty = {"type": "object", "properties": {}}
    # Each tool's parameters move to a place of their own, with all that they refer to.
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
    """Copy a part of a schema, with references that hold when the schema lies elsewhere."""
    if isinstance(node, list):
        return [_moved(each, place) for each in node]
    if not isinstance(node, dict):
        return node
    moved = {key: _moved(value, place) for key, value in node.items()}
    reference = node.get("$ref")
    if isinstance(reference, str) and reference.startswith("#"):
        moved["$ref"] = place + reference[1:]
    return moved


def narrow(node: Any) -> Any:
    """Rewrite a schema so that whatever is valid for it is short of traps for those who read it, as endless numbers."""
    if isinstance(node, bool):
        return _ANY if node else False
    narrowed = {key: value for key, value in node.items() if key not in _ANNOTATIONS}
    if not narrowed:
        return _ANY
    for key in narrowed.keys() & _HOLD_ONE:
        narrowed[key] = narrow(narrowed[key])
    for key in narrowed.keys() & _HOLD_LIST:
        narrowed[key] = [narrow(each) for each in narrowed[key]]
    for key in narrowed.keys() & _HOLD_NAMED:
        narrowed[key] = {name: narrow(each) for name, each in narrowed[key].items()}
    if not narrowed.keys() & {"enum", "const"}:
        kinds = narrowed.get("type", "object" if "properties" in narrowed else "")
        for kind in [kinds] if isinstance(kinds, str) else kinds:
            narrowed = _NARROW.get(kind, dict)(narrowed)
    return narrowed


def _narrow_object(node: dict[str, Any]) -> dict[str, Any]:
    """Write no keys but those that are named, unless none is."""
    named = node.keys() & {"properties", "patternProperties"}
    narrowed = {"type": "object", "additionalProperties": False if named else _ANY} | node
    if narrowed["additionalProperties"] is not False and node.get("minProperties", 0) > 1:
        raise InputError("schema", "minProperties is not enforced, as keys may repeat", "Name the keys in properties")
    return narrowed


def _narrow_array(node: dict[str, Any]) -> dict[str, Any]:
    return {"items": _ANY} | node


def _narrow_string(node: dict[str, Any]) -> dict[str, Any]:
    if "format" not in node:
        return node
    narrowed = dict(node)
    name = narrowed.pop("format")
    if name not in FORMATS or "pattern" in node:
        raise InputError("schema", f"the format {name!r} is not enforced", "Use a pattern alone, or a plain string")
    return narrowed | ({"pattern": f"^({FORMATS[name]})$"} if FORMATS[name] else {})


def _narrow_integer(node: dict[str, Any]) -> dict[str, Any]:
    return _bounded(node, 1)


def _narrow_number(node: dict[str, Any]) -> dict[str, Any]:
    excluded = max(abs(node.get(key, 0)) for key in ("exclusiveMinimum", "exclusiveMaximum"))
    step = DECIMALS if excluded < LARGEST * DECIMALS else 1
    return {"multipleOf": step} | _bounded(node, step)


def _bounded(node: dict[str, Any], step: float) -> dict[str, Any]:
    """Bound a number on both sides, and include the bounds: llguidance 1.9 takes 0 for above 0 and below 0.5."""
    bounded = dict(node)
    lows = [bounded.pop("minimum", None), _beside(bounded.pop("exclusiveMinimum", None), step)]
    highs = [bounded.pop("maximum", None), _beside(bounded.pop("exclusiveMaximum", None), -step)]
    low = max((each for each in lows if each is not None), default=None)
    high = min((each for each in highs if each is not None), default=None)
    bounded["minimum"] = min(high or 0, 0) - LARGEST if low is None else low
    bounded["maximum"] = max(low or 0, 0) + LARGEST if high is None else high
    return bounded


def _beside(bound: float | None, step: float) -> float | None:
    """Tell the nearest number inside of a bound that is not included."""
    if bound is None:
        return None
    if abs(step) == 1:
        return math.floor(bound) + 1 if step > 0 else math.ceil(bound) - 1
    return round(bound + step, PLACES)


_ANNOTATIONS = {
    *("$comment", "$id", "$schema", "default", "deprecated", "description", "discriminator", "examples"),
    *("readOnly", "title", "writeOnly", "x-guidance"),
}
_HOLD_ONE = {"additionalProperties", "items"}
_HOLD_LIST = {"allOf", "anyOf", "oneOf", "prefixItems"}
_HOLD_NAMED = {"$defs", "definitions", "patternProperties", "properties"}
_NARROW = {
    "array": _narrow_array,
    "integer": _narrow_integer,
    "number": _narrow_number,
    "object": _narrow_object,
    "string": _narrow_string,
}


def parts(node: Any) -> Iterator[dict[str, Any]]:
    """List the schemas of which a schema is made, itself included."""
    if isinstance(node, bool):
        return
    yield node
    held = [node[key] for key in node.keys() & _HOLD_ONE]
    held += [each for key in node.keys() & _HOLD_LIST for each in node[key]]
    held += [each for key in node.keys() & _HOLD_NAMED for each in node[key].values()]
    for each in held:
        yield from parts(each)
