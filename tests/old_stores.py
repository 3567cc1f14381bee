"""Stores in the format of versions before 0.1: values of any size, and a token without a revision."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import chromadb
import numpy as np

from langchain_videochat.store import VideoRecord, VideoTimelineStore
from langchain_videochat.store.addresses import dump_sources
from langchain_videochat.store.payloads import SIZE, read_payloads
from langchain_videochat.store.quotas import Row, scan_rows
from langchain_videochat.store.record_ids import DRAFT


def convert_to_old_format(folder: Path, name: str = "videos") -> None:
    """Rewrite a store."""
    records = VideoTimelineStore(folder, collection_name=name).videos()
    client = chromadb.PersistentClient(folder)
    moments, pages, catalogue = (client.get_collection(f"{name}{end}") for end in ("", "-timelines", "-catalogue"))
    for row in scan_rows(moments):
        marks = {key: None for key in row.metadata if key.startswith("modality:")}
        moments.update([row.id], metadatas=[marks or {"title": row.metadata["title"]}])
    for page_id, content in _replace_payloads(pages).items():
        dump = _dump_draft if f":{DRAFT}:" in page_id else _dump_page
        document, metadata = dump(content)
        metadata["video_id"] = page_id.partition(":")[0]
        _add(pages, page_id, document, metadata)
    models = {key: value for content in _replace_payloads(catalogue).values() for key, value in content.items()}
    if models:
        moments.modify(metadata=models)
    catalogue.delete([row.id for row in scan_rows(catalogue, ids_only=True)])
    for record in records:
        put_old_record(catalogue, record)


def put_old_record(catalogue: chromadb.Collection, record: VideoRecord) -> None:
    """Write a record as versions before 0.1 do, which may have other metadata in the collection."""
    fields = asdict(record)
    video_id, video, _ = (fields.pop(key) for key in ("video_id", "video", "sources"))
    metadata = fields | {"sources": dump_sources(record.sources), "complete": True}
    catalogue.upsert(
        [video_id, ":token"],
        np.zeros((2, 1), np.float32),
        [metadata, {"token": uuid.uuid4().hex}],
        [json.dumps(video), ""],
    )


def _replace_payloads(collection: chromadb.Collection) -> dict[str, Any]:
    """Return all payloads of a collection, and delete them."""
    rows = [row for row in scan_rows(collection) if _is_payload(row)]
    contents = read_payloads(collection, rows)
    if rows:
        collection.delete([row.id for row in rows])
    return contents


def _is_payload(row: Row) -> bool:
    return row.document is None and ("00" in row.metadata or SIZE in row.metadata)


def _dump_page(content: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    observations, frames = _split_frames(content["observations"])
    metadata = {"observation_vectors": content["vectors"], "frame_vectors": frames}
    return json.dumps([content["positions"], observations]), metadata


def _dump_draft(content: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    observations, frames = _split_frames(content["observations"])
    draft = {key: content[key] for key in ("damage", "failures", "sidecars")} | {"observations": observations}
    return json.dumps(draft), {"frame_vectors": frames, "states": json.dumps(content["states"])}


def _split_frames(observations: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str]:
    vectors = [one["vector"] for one in observations if "vector" in one]
    return [one | {"vector": ""} if "vector" in one else one for one in observations], " ".join(vectors)


def _add(collection: chromadb.Collection, record_id: str, document: str, metadata: Mapping[str, Any]) -> None:
    collection.add([record_id], np.zeros((1, 1), np.float32), [dict(metadata)], [document])
