"""Distinct items of arrays and distinct keys of objects, tracked while JSON is generated.

A grammar cannot compare values, so `uniqueItems` is checked here: each byte of the text is fed to an immutable state,
which knows the schemas and the values of all open arrays and objects.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from langchain_videochat.embed.json_schemas import follow_reference, iter_subschemas

Schema = Mapping[str, Any]

_END_OF_VALUE = b",:]}\n"


class _Container(NamedTuple):
    """An open array or object, and its values so far. An object's values alternate between keys and their values."""

    is_array: bool
    schemas: tuple[Schema, ...]
    """The schemas that it may have to be valid for."""

    is_distinct: bool
    """Whether its items, or its keys, must be distinct."""

    values: tuple[Any, ...] = ()

    @classmethod
    def of(cls, schemas: tuple[Schema, ...], *, is_array: bool, values: tuple[Any, ...] = ()) -> "_Container":
        is_distinct = any(map(_has_distinct_items if is_array else _has_distinct_keys, schemas))
        return cls(is_array, schemas, is_distinct, values)

    @property
    def expects_key(self) -> bool:
        return not self.is_array and len(self.values) % 2 == 0

    def add(self, value: Any) -> "_Container | None":
        """Return the container with one more value; None if it must be distinct and is not."""
        values = (*self.values, value)
        if self.is_array or self.expects_key:
            others = self.values if self.is_array else self.values[::2]
            return None if self.is_distinct and value in others else self._replace(values=values)
        schemas = tuple(schema for schema in self.schemas if _may_contain(schema, self.values[-1], value))
        return _Container.of(schemas, is_array=False, values=values)

    def value(self) -> Any:
        """Return the value of the whole container."""
        return self.values if self.is_array else frozenset(zip(self.values[::2], self.values[1::2], strict=True))

    def child_schemas(self) -> Iterator[Schema]:
        """Yield the schemas that the next value may have to be valid for."""
        for schema in self.schemas:
            if self.is_array:
                prefix = schema.get("prefixItems", [])
                place = len(self.values)
                yield prefix[place] if place < len(prefix) else schema.get("items", {})
            elif not self.expects_key:
                named = schema.get("properties", {}).get(self.values[-1])
                yield from schema.get("patternProperties", {}).values()
                yield schema.get("additionalProperties", {}) if named is None else named


class DistinctValues(NamedTuple):
    """The state of a JSON text whose arrays and objects must have distinct items and keys where its schema says so.

    Args:
        root: The schema of the text, or of each of its lines.

    Example:
        >>> state = DistinctValues({"type": "array", "items": {"type": "integer"}, "uniqueItems": True})
        >>> state.feed(b"[1,2]") is None, state.feed(b"[1,1]") is None
        (False, True)
    """

    root: Schema
    containers: tuple[_Container, ...] = ()
    scalar: bytes = b""
    """The text of the scalar that is being generated."""

    pending: tuple[Any, ...] = ()
    """The array or object that has just ended, as a value."""

    @classmethod
    def of(cls, schema: Schema) -> "DistinctValues | None":
        """Return the state of an empty text; None if no value of the schema must be distinct."""
        parts = iter_subschemas(schema)
        return cls(schema) if any(_has_distinct_items(part) or _has_distinct_keys(part) for part in parts) else None

    @property
    def is_inside(self) -> bool:
        """Whether a container with distinct items or keys is open."""
        return any(container.is_distinct for container in self.containers)

    def feed(self, text: bytes) -> "DistinctValues | None":
        """Return the state after more of the text; None if it repeats a value that must be distinct."""
        state: DistinctValues | None = self
        for place in range(len(text)):
            if state is None:
                return None
            state = state._feed_byte(text[place : place + 1])
        return state

    def _feed_byte(self, byte: bytes) -> "DistinctValues | None":
        if self._is_in_string():
            return self._replace(scalar=self.scalar + byte)
        if byte in b"[{":
            return self._open(is_array=byte == b"[")
        if byte not in _END_OF_VALUE:
            return self._replace(scalar=self.scalar + byte)
        state = self._end_value()
        return state._close() if state is not None and byte in b"]}" else state

    def _is_in_string(self) -> bool:
        if not self.scalar.startswith(b'"'):
            return False
        if len(self.scalar) == 1 or not self.scalar.endswith(b'"'):
            return True
        backslashes = len(self.scalar[:-1]) - len(self.scalar[:-1].rstrip(b"\\"))
        return backslashes % 2 == 1

    def _open(self, *, is_array: bool) -> "DistinctValues":
        candidates = self.containers[-1].child_schemas() if self.containers else iter([self.root])
        kind = "array" if is_array else "object"
        schemas = tuple(part for one in candidates for part in self._flatten(one) if _may_be(part, kind))
        return self._replace(containers=(*self.containers, _Container.of(schemas, is_array=is_array)))

    def _end_value(self) -> "DistinctValues | None":
        values = (json.loads(self.scalar),) if self.scalar else self.pending
        state = self._replace(scalar=b"", pending=())
        if not values or not self.containers:
            return state
        container = self.containers[-1].add(values[0])
        return None if container is None else state._replace(containers=(*self.containers[:-1], container))

    def _close(self) -> "DistinctValues":
        return self._replace(containers=self.containers[:-1], pending=(self.containers[-1].value(),))

    def _flatten(self, schema: Any, followed: tuple[str, ...] = ()) -> Iterator[Schema]:
        """Yield a schema and its alternatives, with references followed."""
        if isinstance(schema, bool):
            return
        yield schema
        for key in ("anyOf", "oneOf", "allOf"):
            for part in schema.get(key, []):
                yield from self._flatten(part, followed)
        reference = schema.get("$ref")
        if reference is not None and reference not in followed:
            yield from self._flatten(follow_reference(self.root, reference), (*followed, reference))


def _has_distinct_items(schema: Schema) -> bool:
    return bool(schema.get("uniqueItems"))


def _has_distinct_keys(schema: Schema) -> bool:
    """Return whether keys must be distinct because repeated ones would count towards `minProperties`."""
    return schema.get("minProperties", 0) > 1 and "properties" not in schema


def _may_be(schema: Schema, kind: str) -> bool:
    kinds = schema.get("type", kind)
    return kind in ([kinds] if isinstance(kinds, str) else kinds)


def _may_contain(schema: Schema, key: str, value: Any) -> bool:
    """Return whether an object may be valid for a schema, given one of its values: a discriminator rules out others."""
    expected = schema.get("properties", {}).get(key, {})
    return "const" not in expected or expected["const"] == value
