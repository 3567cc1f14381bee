"""Ids of the pages and moments of a video, which name the save that wrote them."""

from collections.abc import Iterable

DRAFT = "draft"
"""Takes the place of the save in the ids of drafts, which belong to none."""


def record_id(video_id: str, save_id: str, name: str) -> str:
    """Return the id of a page or moment. Earlier versions named no save: `save_id` is empty for what they wrote.

    Example:
        >>> record_id("c0ffee", "5a3e", "000001"), record_id("c0ffee", "", "000001")
        ('c0ffee:5a3e:000001', 'c0ffee:000001')
    """
    return ":".join(part for part in (video_id, save_id, name) if part)


def group_by_save(video_id: str, ids: Iterable[str]) -> dict[str, list[str]]:
    """Group the ids of pages or moments of a video by save.

    Example:
        >>> group_by_save("c0ffee", ["c0ffee:5a3e:0", "c0ffee:5a3e:1", "c0ffee:0"])
        {'5a3e': ['c0ffee:5a3e:0', 'c0ffee:5a3e:1'], '': ['c0ffee:0']}
    """
    groups: dict[str, list[str]] = {}
    for one in ids:
        rest = one.removeprefix(f"{video_id}:")
        save_id = rest.partition(":")[0] if ":" in rest else ""
        groups.setdefault(save_id, []).append(one)
    return groups
