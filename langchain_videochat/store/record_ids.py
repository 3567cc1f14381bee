"""Ids of the pages and moments of a video, which name the save that wrote them."""

from collections.abc import Iterable

from langchain_videochat.errors import InputError

DRAFT = "draft"
"""Takes the place of the save in the ids of drafts, which belong to none."""


MAX_VIDEO_ID_BYTES = 64
"""Ids of records have at most 128 bytes: also that of a save, and the number of a page and of one of its parts."""


def check_video_id(video_id: str) -> None:
    """Check the length of the id of a video; ids of files have 16 bytes.

    Raises:
        InputError: It is too long.
    """
    if (size := len(video_id.encode())) > MAX_VIDEO_ID_BYTES:
        problem = f"has {size} bytes, at most {MAX_VIDEO_ID_BYTES} are possible"
        raise InputError("video_id", problem, "Use the id that langchain_videochat.media.video_id returns")


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
