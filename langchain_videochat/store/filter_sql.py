"""Filters on moments as conditions of SQL, for the local index."""

import json

from langchain_videochat.store.filters import Filter

# Names, not bits by position: those would change their meaning when a modality is added. SQLite resolves the names to
# a few numbers of sets before it reads any moment.
_MODALITY_SETS = """modality_set IN (
    SELECT modality_sets.number FROM modality_sets, json_each(names) WHERE value IN (SELECT value FROM json_each(?)))"""


def where(condition: Filter, *, by_number: bool = False) -> tuple[str, list[object]]:
    """Return the condition on rows of `moments`, with placeholders, and the values of these.

    Args:
        condition: The filter.
        by_number: Whether the rows are looked up by number, so that they are only checked.
    """
    # A plus sign keeps SQLite from using that column's index.
    plus = "+" if by_number else ""
    clauses: list[str] = []
    values: list[object] = []
    if condition.video_ids is not None:
        clauses.append(f"{plus}video_id IN ({', '.join('?' * len(condition.video_ids))})")
        values += condition.video_ids
    if condition.interval is not None:
        start, end = condition.interval.start, condition.interval.end
        # The second clause follows from the third; it limits the range of the index that is read.
        longest = '(SELECT max("end" - start) FROM moments)'
        clauses += [f"{plus}start < ?", f"{plus}start >= ? - {longest} - 0.001", '(+"end" > ? OR +start >= ?)']
        values += [end, start, start, start]
    for bound in condition.bounds:
        clauses.append(f'{plus}"{bound.field}" {bound.operator} ?')
        values.append(bound.seconds)
    if condition.modalities is not None:
        # With another condition, that condition's index is the better one.
        clauses.append(f"+{_MODALITY_SETS}" if clauses or by_number else _MODALITY_SETS)
        values.append(json.dumps(condition.modalities))
    return " AND ".join(clauses) or "TRUE", values
