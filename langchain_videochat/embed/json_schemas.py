"""JSON schemas: for tool calls, and narrowed to what constrained decoding can enforce."""

import math
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any
from urllib.parse import unquote

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
_IPV4 = "((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV6 = "([0-9a-f]{1,4}:){7}[0-9a-f]{1,4}"
_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
FORMATS = {
    "date": _DAY,
    "time": _TIME,
    "date-time": f"{_DAY}T{_TIME}",
    "duration": "P([0-9]{1,4}D|([0-9]{1,4}D)?T[0-9]{1,4}(H|M|S))",
    "email": f"[a-z][a-z0-9]{{0,30}}@{_HOST}",
    "hostname": _HOST,
    **dict.fromkeys(["ipv4", "ipv4interface", "ipv4network"], _IPV4),
    **dict.fromkeys(["ipvanyaddress", "ipvanyinterface", "ipvanynetwork"], _IPV4),
    **dict.fromkeys(["ipv6", "ipv6interface", "ipv6network"], _IPV6),
    "regex": "[a-zA-Z0-9 ]{0,50}",
    "uri": f"https?://{_HOST}(/[a-zA-Z0-9_-]{{0,50}}){{0,8}}",
    "uuid": _UUID,
    **{f"uuid{version}": _UUID.replace("-4", f"-{version}") for version in range(1, 9)},
    "binary": "",
    "password": "",
    "path": "",
}
"""Formats of strings as regular expressions, narrow enough for all validators to agree; "" is any string."""

JSON_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")

_NO_ARGUMENTS: dict[str, Any] = {"type": "object", "properties": {}}
_NUMBER = {"type": "number", "multipleOf": PRECISION, "minimum": -MAX_NUMBER, "maximum": MAX_NUMBER}
_SCALARS: list[dict[str, Any]] = [{"type": "string"}, _NUMBER, {"type": "boolean"}, {"type": "null"}]
_ANY = {
    "anyOf": [
        *_SCALARS,
        {"type": "array", "items": {"anyOf": _SCALARS}},
        {"type": "object", "additionalProperties": {"anyOf": _SCALARS}},
    ]
}
"""Replaces an empty schema, with limited nesting."""


def call_schema(tools: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a schema for a call of one of several tools: `{"name": ..., "arguments": {...}}`.

    Args:
        tools: One or more tools in OpenAI's format.

    Example:
        >>> schema = call_schema([{"type": "function", "function": {"name": "stop", "parameters": {"type": "object"}}}])
        >>> schema["$defs"]["0"]["properties"]["name"]
        {'const': 'stop'}
    """
    functions = [tool["function"] for tool in tools]
    return union_schema([_call_schema(one["name"], one.get("parameters") or _NO_ARGUMENTS) for one in functions])


def _call_schema(name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"name": {"const": name}, "arguments": _moved(parameters, "#/properties/arguments")},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def union_schema(schemas: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return a schema for values that are valid for any of several schemas, each with definitions of its own."""
    places = {str(number): f"#/$defs/{number}" for number in range(len(schemas))}
    definitions = {name: _moved(schema, places[name]) for name, schema in zip(places, schemas, strict=True)}
    return {"anyOf": [{"$ref": place} for place in places.values()], "$defs": definitions}


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


def follow_reference(root: Mapping[str, Any], reference: str) -> Any:
    """Return the part of a schema to which a `$ref` refers.

    Raises:
        InputError: There is no such part.

    Example:
        >>> follow_reference({"$defs": {"Size": {"type": "integer"}}}, "#/$defs/Size")
        {'type': 'integer'}
    """
    part: Any = root
    try:
        for key in unquote(reference.removeprefix("#")).split("/")[1:]:
            part = part[int(key) if isinstance(part, list) else key.replace("~1", "/").replace("~0", "~")]
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise InputError("schema", f"$ref {reference!r} refers to nothing in it", "Add the definition") from error
    return part


def is_recursive(schema: Mapping[str, Any]) -> bool:
    """Return whether a part of a schema refers to a part that contains it.

    Raises:
        InputError: A `$ref` refers to nothing.

    Example:
        >>> is_recursive({"type": "array", "items": {"$ref": "#"}})
        True
    """
    references: dict[str, set[str]] = {}
    pending = ["#"]
    while pending:
        place = pending.pop()
        if place not in references:
            references[place] = set(_iter_references(follow_reference(schema, place), schema))
            pending += references[place]
    try:
        TopologicalSorter(references).prepare()
    except CycleError:
        return True
    return False


def _iter_references(node: Any, root: Mapping[str, Any]) -> Iterator[str]:
    """Yield the references in a part of a schema, except those in the definitions of the whole schema."""
    if isinstance(node, list):
        for item in node:
            yield from _iter_references(item, root)
    if not isinstance(node, dict):
        return
    reference = node.get("$ref")
    if isinstance(reference, str):
        yield reference
    for key, part in node.items():
        if node is not root or key not in ("$defs", "definitions"):
            yield from _iter_references(part, root)


def narrow_schema(node: Any, root: Mapping[str, Any] | None = None) -> Any:
    """Narrow a schema to values that every parser handles, for example numbers of limited length.

    What a grammar cannot express is left out if it is checked elsewhere (`uniqueItems`).

    Args:
        node: A schema, or a part of one.
        root: The whole schema, if `node` is a part.
    """
    if isinstance(node, bool):
        return _ANY if node else False
    root = node if root is None else root
    narrowed = {key: value for key, value in node.items() if key not in _LEFT_OUT}
    if not narrowed:
        return _ANY
    for key in narrowed.keys() & _WITH_SCHEMA:
        narrowed[key] = narrow_schema(narrowed[key], root)
    for key in narrowed.keys() & _WITH_LIST:
        narrowed[key] = [narrow_schema(item, root) for item in narrowed[key]]
    for key in narrowed.keys() & _WITH_NAMES:
        narrowed[key] = {name: narrow_schema(item, root) for name, item in narrowed[key].items()}
    if "propertyNames" in narrowed:
        narrowed = _narrow_keys(narrowed, root)
    if "discriminator" in node and "oneOf" in narrowed:
        # The alternatives differ in the discriminator, but llguidance cannot find that out behind references.
        narrowed["anyOf"] = narrowed.pop("oneOf")
    if "anyOf" in narrowed:
        narrowed["anyOf"] = _without_decimal_texts(narrowed["anyOf"])
    if not narrowed.keys() & {"enum", "const"}:
        for kind in _kinds(narrowed):
            narrowed = _NARROW.get(kind, dict)({"type": kind} | narrowed)
    return narrowed


def _kinds(node: dict[str, Any]) -> list[str]:
    """Return the types that a schema names, or else the one that its keywords are about."""
    kinds = node.get("type")
    if kinds is not None:
        return [kinds] if isinstance(kinds, str) else kinds
    if "properties" in node:
        return ["object"]
    if node.keys() & {"$ref", "allOf", "anyOf", "oneOf"}:
        return []
    return [kind for kind, keywords in _KEYWORDS.items() if node.keys() & keywords][:1]


def _without_decimal_texts(alternatives: list[Any]) -> list[Any]:
    """Remove the text of a number or text: pydantic's schema of a Decimal does not say that the text is a number."""
    return [
        one
        for before, one in pairwise([None, *alternatives])
        if one != {"type": "string"} or not isinstance(before, dict) or before.get("type") != "number"
    ]


def _narrow_keys(node: dict[str, Any], root: Mapping[str, Any]) -> dict[str, Any]:
    """Replace `propertyNames` with properties, or with a pattern for them."""
    narrowed = dict(node)
    names = narrowed.pop("propertyNames")
    if "$ref" in names:
        names = follow_reference(root, names["$ref"])
    names = narrow_schema({"type": "string"} | names, root)
    if names == {"type": "string"}:
        return narrowed
    if node.keys() & {"properties", "patternProperties"}:
        raise InputError("schema", "propertyNames cannot be enforced together with properties", "Use one of them")
    values = narrowed.pop("additionalProperties", _ANY)
    if names.keys() & {"enum", "const"}:
        return _named_properties(narrowed, names, values)
    pattern = _pattern_of(names)
    return {"type": "object", **narrowed, "patternProperties": {pattern: values}, "additionalProperties": False}


def _named_properties(node: dict[str, Any], names: dict[str, Any], values: Any) -> dict[str, Any]:
    """Give an object properties with some of the names, as many as its `minProperties` and `maxProperties` say."""
    known = [name for name in names.get("enum", [names.get("const")]) if isinstance(name, str)]
    properties = dict.fromkeys(known[: node.pop("maxProperties", None)], values)
    required = known[: node.pop("minProperties", 0)]
    return node | {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _pattern_of(names: dict[str, Any]) -> str:
    """Return a regular expression for a schema of strings."""
    unknown = names.keys() - {"type", "pattern", "minLength", "maxLength"}
    if unknown or ("pattern" in names and len(names) > 2):  # noqa: PLR2004 - type and pattern
        keywords = ", ".join(sorted(names.keys() - {"type"}))
        raise InputError("schema", f"propertyNames with {keywords} cannot be enforced", "Use a pattern alone")
    return str(names.get("pattern") or f"^(?s:.{{{names.get('minLength', 0)},{names.get('maxLength', '')}}})$")


def _narrow_object(node: dict[str, Any]) -> dict[str, Any]:
    """Allow no additional keys, unless the schema names none."""
    named = node.keys() & {"properties", "patternProperties"}
    return {"additionalProperties": False if named else _ANY} | node


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


_LEFT_OUT = {
    *("$comment", "$id", "$schema", "default", "deprecated", "description", "discriminator", "examples"),
    *("readOnly", "title", "uniqueItems", "writeOnly", "x-guidance"),
}
_KEYWORDS = {
    "number": {"exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf"},
    "string": {"format", "maxLength", "minLength", "pattern"},
    "array": {"items", "maxItems", "minItems", "prefixItems"},
    "object": {"additionalProperties", "maxProperties", "minProperties", "patternProperties"},
}
"""Keywords that apply to one type only."""

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
