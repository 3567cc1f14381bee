"""Search results: exact words in any script, and exactly the moments that match a filter."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_videochat.errors import InputError
from langchain_videochat.perception import Observation, list_modalities
from langchain_videochat.store import VideoTimelineStore
from tests.unit_tests.embeddings import BagOfWords, make_slides, make_timeline

MODALITIES = [modality.name for modality in list_modalities()]
FILLER = [
    f"The {noun} of the machine shows an error when the {part} is {state}; replace the {part} and start again"
    for noun in ("display", "controller", "motor", "cabinet")
    for part in ("fuse", "belt", "sensor", "valve", "relay")
    for state in ("broken", "loose", "wet", "hot", "missing")
]
EXACT_WORDS = {
    "AX-4471": "Order number AX-4471 for the spare part",
    "AX-4472": "Order number AX-4472 for the spare part",
    "192.168.0.17": "The controller answers at 192.168.0.17 only",
    "Ramirez": "Maintained by Ramirez, second floor",
    "O'Neill": "Ask O'Neill for the key",
    "3,750": "The price is 3,750 a piece",
    "Müller": "Frau Müller erklärt die Anlage",
    "snake_case": "Set snake_case names in the panel",
    "烹饪": "今天我们学习烹饪鸡蛋",
    "東京タワー": "次は東京タワーに行きます",
    "서울": "우리는 서울에서 만났다",
    "Žižek": "Slavoj Žižek writes",
    "насос": "Проверьте насос и клапан",
}


@pytest.fixture(scope="module")
def library() -> VideoTimelineStore:
    store = VideoTimelineStore(embedding=BagOfWords(16))
    store.add(make_slides("manual", *FILLER[:50], *EXACT_WORDS.values(), *FILLER[50:]))
    return store


@pytest.mark.parametrize(
    "question", ["{}", "what error does {} show?", "where is the part {} of the machine mentioned"]
)
@pytest.mark.parametrize("word", EXACT_WORDS)
def test_exact_word_is_among_the_first_two_results(library: VideoTimelineStore, word: str, question: str) -> None:
    found = library.search(question.format(word), k=2)
    assert EXACT_WORDS[word] in "\n".join(one.page_content for one in found)


@pytest.mark.parametrize(
    ("query", "text"),
    [("zizek", "Žižek"), ("MULLER", "Müller"), ("ＡＸ－４４７１", "AX-4471"), ("鸡蛋", "鸡蛋")],  # noqa: RUF001
)
def test_spelling_variants_match(library: VideoTimelineStore, query: str, text: str) -> None:
    assert text in library.search(query, k=1)[0].page_content


@given(
    st.text(min_size=1, max_size=30).filter(str.strip) | st.text('"*^:()-+{}NEAR AND OR', min_size=1).filter(str.strip)
)
@settings(max_examples=50)
def test_any_query_is_valid(query: str) -> None:
    assert len(WORLD.search(query, k=3)) == 3


@pytest.mark.parametrize("query", ["AND", "NEAR(a b)", "text:x", '"', "***", "a\0b", "x" * 10_000, "word " * 5000, "-"])
def test_fts5_syntax_is_not_interpreted(library: VideoTimelineStore, query: str) -> None:
    assert len(library.search(query, k=2)) == 2


WORLD = VideoTimelineStore(embedding=BagOfWords(8))
TIMELINES = [
    make_timeline(
        f"video-{number}",
        *[
            Observation(at * 7.5, at * 7.5 + 5, MODALITIES[(at * (number + 1)) % 5], f"thing {at} of {number}")
            for at in range(0, 20, 1 + number % 3)
        ],
        duration=150,
    )
    for number in range(6)
]
for one in TIMELINES:
    WORLD.add(one)
DOCUMENTS = [document for timeline in TIMELINES for document in timeline.to_documents("moment")]

seconds = st.none() | st.sampled_from([0.0, 30.0, 60.0, 150.0]) | st.floats(0, 200)


@given(
    video_id=st.none()
    | st.sampled_from(["video-1", "none"])
    | st.lists(st.sampled_from(["video-0", "video-3", "video-5"])),
    start=seconds,
    end=seconds,
    modalities=st.none() | st.lists(st.sampled_from(MODALITIES), max_size=3),
    query=st.sampled_from(["thing", "thing 4 of 2", "nothing"]),
    k=st.integers(1, 40),
)
@settings(max_examples=100)
def test_filters_select_exactly_the_matching_moments(
    video_id: str | list[str] | None,
    start: float | None,
    end: float | None,
    modalities: list[str] | None,
    query: str,
    k: int,
) -> None:
    low, high = start or 0.0, float("inf") if end is None else end
    if high < low:
        with pytest.raises(InputError, match="end"):
            WORLD.search(query, video_id=video_id, start=start, end=end, modalities=modalities)
        return
    wanted = None if video_id is None else [video_id] if isinstance(video_id, str) else video_id
    expected = [
        document.metadata["citation"]
        for document in DOCUMENTS
        if (wanted is None or document.metadata["video_id"] in wanted)
        and document.metadata["start"] < high
        and (document.metadata["end"] > low or document.metadata["start"] >= low)
        and (modalities is None or set(modalities) & set(document.metadata["modalities"].split(",")))
    ]
    everything = WORLD.search(query, k=1000, video_id=video_id, start=start, end=end, modalities=modalities)
    assert sorted(document.metadata["citation"] for document in everything) == sorted(expected)
    best = WORLD.search(query, k=k, video_id=video_id, start=start, end=end, modalities=modalities)
    assert best[:1] == everything[:1]
    assert len(best) == min(k, len(expected))


def test_filters_apply_if_too_many_moments_match_for_an_exact_search() -> None:
    store = VideoTimelineStore(embedding=BagOfWords(8))
    for number in range(4):
        store.add(make_slides(f"long-{number}", *[f"slide {at} of {number}" for at in range(600)], seconds=1.0))
    found = store.search("slide 599 of 2", k=3, start=100)
    assert all("slide 599 of" in document.page_content for document in found)
    assert all(document.metadata["end"] > 100 for document in found)
    assert len(store.search("slide", k=50, start=1, end=599, modalities="screen_text")) == 50


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"query": " "}, "query"),
        ({"query": "x", "k": 0}, "k"),
        ({"query": "x", "start": 5, "end": 4}, "end"),
        ({"query": "x", "start": float("nan")}, "start"),
        ({"query": "x", "start": -1}, "start"),
        ({"query": "x", "modalities": ["smell"]}, "modalities"),
    ],
)
def test_invalid_arguments_are_rejected(arguments: dict[str, object], argument: str) -> None:
    with pytest.raises(InputError, match=argument):
        WORLD.search(**arguments)  # type: ignore[arg-type]
