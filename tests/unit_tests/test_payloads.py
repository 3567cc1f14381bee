"""Payloads in the metadata of records: split into parts, replaced, and damaged."""

import random
import string
import uuid
from dataclasses import asdict

import chromadb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_videochat.media import VideoInfo
from langchain_videochat.store.addresses import VideoSource
from langchain_videochat.store.payloads import PART_BYTES, dump_payload, load_payload, read_payloads, write_payloads
from langchain_videochat.store.quotas import Row, read_rows, shorten
from langchain_videochat.store.record_format import dump_record, load_record


@pytest.fixture
def collection() -> chromadb.Collection:
    return chromadb.EphemeralClient().create_collection(f"payloads-{uuid.uuid4().hex}", embedding_function=None)


def noise(size: int) -> str:
    """Return a text that cannot be compressed much."""
    return "".join(random.Random(size).choices(string.ascii_letters, k=size))


@pytest.mark.parametrize("sizes", [(100, 20_000), (20_000, 100), (2 * PART_BYTES, PART_BYTES)])
def test_a_payload_is_replaced_by_a_longer_or_shorter_one(
    collection: chromadb.Collection, sizes: tuple[int, int]
) -> None:
    for size in sizes:
        write_payloads(collection, [("one", noise(size)), ("other", [size])], {"video_id": "eggs"})
        assert read_payloads(collection, read_rows(collection, ["one", "other"])) == {
            "one": noise(size),
            "other": [size],
        }


@pytest.mark.parametrize("damage", ["missing", "changed", "mixed"])
def test_a_damaged_payload_is_left_out(collection: chromadb.Collection, damage: str) -> None:
    write_payloads(collection, [("one", noise(20_000)), ("other", "whole")], {"video_id": "eggs"})
    if damage == "missing":
        collection.delete(["one#2"])
    elif damage == "changed":
        collection.update(["one#2"], metadatas=[{"03": "?"}])
    else:
        write_payloads(collection, [("new", noise(20_001))], {"video_id": "eggs"})
        part = next(read_rows(collection, ["new#1"]))
        collection.update(["one#1"], metadatas=[dict(part.metadata)])
    assert read_payloads(collection, read_rows(collection, ["one", "other"])) == {"other": "whole"}


@settings(max_examples=50)
@given(st.recursive(st.none() | st.text() | st.integers() | st.floats(allow_nan=False), st.lists))
def test_payloads_are_restored(content: object) -> None:
    dumped = dump_payload(content)
    assert (load_payload(dumped), dumped.isascii()) == (content, True)


@settings(max_examples=50)
@given(st.text(), st.integers(3, 20))
def test_texts_are_shortened_to_bytes(text: str, size: int) -> None:
    short = shorten(text, size)
    assert len(short.encode()) <= size
    assert short == text or text.startswith(short.removesuffix("…"))


def test_a_record_fits_whatever_a_file_contains() -> None:
    video = VideoInfo("/films/eggs.mp4", noise(5000), 60.0, 640, 360)
    streams = [{"index": number, "codec": noise(40 + number)} for number in range(300)]
    fields = {"profile": "lite", "stale": False, "damage": noise(9000), "failures": noise(30_000), "save_id": "5a3e"}
    sources = [VideoSource(f"/films/{noise(3000 + number)}.mp4", title=noise(900)) for number in range(20)]
    document, metadata = dump_record(fields | {"video": asdict(video) | {"streams": streams}}, sources)
    kept = {key: value for key, value in metadata.items() if value is not None}
    assert len(document.encode()) <= 16_384
    assert sum(len(f"{key}{value}") for key, value in kept.items()) <= 4096
    loaded, found = load_record(Row("eggs", document, kept))
    assert found is not None
    assert [one.address for one in found] == [one.address for one in (sources[0], *sources[-len(found) + 1 :])]
    assert (loaded["profile"], loaded["save_id"], loaded["video"]["duration"]) == ("lite", "5a3e", 60.0)
    assert loaded["failures"].startswith(noise(30_000)[:100])
