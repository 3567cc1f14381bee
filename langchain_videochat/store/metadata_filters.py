"""LangChain's filters on metadata, as Chroma defines them: `{"video_id": {"$in": [...]}, "start": {"$gte": 10}}`."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from langchain_videochat.errors import InputError
from langchain_videochat.store.filters import Filter, TimeBound
from langchain_videochat.utils.names import closest_name

_COMPARISONS: dict[str, Literal["<", "<=", "=", ">=", ">"]] = {
    "$lt": "<",
    "$lte": "<=",
    "$eq": "=",
    "$gte": ">=",
    "$gt": ">",
}
_FIELDS = {
    "video_id": ("$eq", "$in"),
    "modality": ("$eq", "$in"),
    "start": tuple(_COMPARISONS),
    "end": tuple(_COMPARISONS),
}
"""The fields that can be filtered by, with their operators."""

_ADVICE = (
    "Filter by video_id or modality ($eq, $in), or by start or end in seconds ($eq, $gt, $gte, $lt, $lte); "
    "join conditions with $and"
)


def add_metadata_filter(condition: Filter, metadata_filter: Mapping[str, Any]) -> Filter:
    """Narrow a filter by a filter on metadata.

    `modality` stands for the modalities of the observations in a moment.

    Args:
        condition: The filter to narrow.
        metadata_filter: Conditions on fields; all must hold. A value alone stands for `{"$eq": value}`.

    Raises:
        InputError: A field or operator is not supported, or a value is of the wrong type.

    Example:
        >>> add_metadata_filter(Filter(), {"video_id": "c0ffee", "start": {"$gte": 10}}).bounds
        (TimeBound(field='start', operator='>=', seconds=10),)
    """
    if not isinstance(metadata_filter, Mapping):
        raise _error(f"must be a dict, got {type(metadata_filter).__name__}")
    for name, value in metadata_filter.items():
        condition = _add_all(condition, value) if name == "$and" else _add_field(condition, name, value)
    return condition


def _add_all(condition: Filter, metadata_filters: Iterable[Mapping[str, Any]]) -> Filter:
    if not isinstance(metadata_filters, list | tuple):
        raise _error(f"$and must have a list, got {metadata_filters!r}")
    for one in metadata_filters:
        condition = add_metadata_filter(condition, one)
    return condition


def _add_field(condition: Filter, name: str, value: Any) -> Filter:
    if name not in _FIELDS:
        closest = closest_name(str(name), _FIELDS)
        hint = f", perhaps {closest!r} is meant" if closest else ""
        raise _error(f"{name!r} is not supported{hint}")
    comparisons = value if isinstance(value, Mapping) else {"$eq": value}
    for operator, operand in comparisons.items():
        if operator not in _FIELDS[name]:
            raise _error(f"{operator!r} is not supported for {name}")
        condition = _add_comparison(condition, name, operator, operand)
    return condition


def _add_comparison(condition: Filter, name: str, operator: str, operand: Any) -> Filter:
    if name == "video_id":
        return condition.narrow(video_ids=_names(name, operator, operand))
    if name == "modality":
        return condition.narrow(modalities=_names(name, operator, operand))
    field: Literal["start", "end"] = "start" if name == "start" else "end"
    return condition.narrow(bounds=[TimeBound(field, _COMPARISONS[operator], _seconds(name, operand))])


def _names(name: str, operator: str, operand: Any) -> Sequence[str]:
    names = operand if operator == "$in" else [operand]
    if not isinstance(names, list | tuple) or not all(isinstance(one, str) for one in names):
        expected = "a list of strings" if operator == "$in" else "a string"
        raise _error(f"{operator} of {name} must have {expected}, got {operand!r}")
    return names


def _seconds(name: str, operand: Any) -> float:
    if isinstance(operand, bool) or not isinstance(operand, int | float) or not math.isfinite(operand):
        raise _error(f"{name} must be compared with a number of seconds, got {operand!r}")
    return operand


def _error(problem: str) -> InputError:
    return InputError("filter", problem, _ADVICE)
