"""Pages and drafts as earlier versions of this package stored them: JSON in the document, vectors in the metadata."""

import json
from collections.abc import Mapping
from typing import Any

from langchain_videochat.perception.streams import UNDECODABLE
from langchain_videochat.store.quotas import Row


def load_old_page(row: Row) -> dict[str, Any]:
    """Return a page in the present form."""
    positions, observations = json.loads(row.document or "")
    return {
        "positions": positions,
        "vectors": row.metadata.get("observation_vectors") or "",
        "observations": _add_frames(observations, row.metadata),
    }


def load_old_draft(row: Row) -> dict[str, Any]:
    """Return a draft in the present form."""
    draft = json.loads(row.document or "")
    if isinstance(draft, list):
        # The first versions wrote the seconds that could not be decoded, and no fingerprint of subtitle files.
        missing, failures, observations = draft
        damage = [{"kind": "picture", "problem": UNDECODABLE, "seconds": missing}] if missing else []
        draft = {"damage": damage, "failures": failures, "observations": observations, "sidecars": ""}
    states = json.loads(str(row.metadata.get("states", "[]")))
    return {**draft, "observations": _add_frames(draft["observations"], row.metadata), "states": states}


def _add_frames(observations: list[dict[str, Any]], metadata: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return observations with the vectors of frames, in whose place they have empty strings."""
    vectors = iter(str(metadata.get("frame_vectors") or "").split())
    return [one | {"vector": next(vectors, "")} if "vector" in one else one for one in observations]
