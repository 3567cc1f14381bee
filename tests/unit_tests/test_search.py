"""Search results: words in any script, and exactly the moments that match a filter."""

import math
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document

from langchain_videochat.errors import InputError, ModelError
from langchain_videochat.perception import Observation, list_modalities
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.store.embeddings import SentenceTransformerEmbeddings
from langchain_videochat.timeline import Timeline
from tests.unit_tests.embeddings import BagOfWords, make_slides, make_speech, make_timeline
from tests.unit_tests.sentences import SCRIPTS, UNSPACED_SCRIPTS

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
    store = VideoTimelineStore()
    store.add(make_slides("manual", *FILLER[:50], *EXACT_WORDS.values(), *FILLER[50:]))
    return store


@pytest.mark.parametrize("question", ["{}", "what error does {} show?", "where is {} mentioned"])
@pytest.mark.parametrize("word", EXACT_WORDS)
def test_exact_word_is_among_the_first_three_results(library: VideoTimelineStore, word: str, question: str) -> None:
    found = library.search(question.format(word), k=3)
    assert EXACT_WORDS[word] in "\n".join(one.page_content for one in found)


@pytest.mark.parametrize(
    ("query", "text"),
    [("zizek", "Žižek"), ("MULLER", "Müller"), ("ＡＸ－４４７１", "AX-4471"), ("鸡蛋", "鸡蛋")],  # noqa: RUF001
)
def test_spelling_variants_match(library: VideoTimelineStore, query: str, text: str) -> None:
    assert text in library.search(query, k=1)[0].page_content


@pytest.fixture(scope="module")
def polyglot() -> VideoTimelineStore:
    store = VideoTimelineStore(embedding=BagOfWords(16))
    for script, sentences in SCRIPTS.items():
        store.add(make_slides(script, *sentences, *map(_misspell, sentences)))
    for script, sentences_by_word in UNSPACED_SCRIPTS.items():
        sentences = list(sentences_by_word.values())
        store.add(make_slides(script, *sentences, *map(_misspell, sentences)))
    return store


def _misspell(sentence: str) -> str:
    """Swap the beginnings of the words, so that the letters are the same but no word is."""
    syllables = regex.findall(r"\X", sentence.replace(" ", ""))
    return " ".join("".join(syllables[place::3]) for place in range(3))


@pytest.mark.parametrize("script", SCRIPTS)
def test_each_word_is_found_in_any_script(polyglot: VideoTimelineStore, script: str) -> None:
    for sentence in SCRIPTS[script]:
        for word in sentence.split():
            assert sentence in polyglot.search(word, k=1)[0].page_content, word


@pytest.mark.parametrize("script", UNSPACED_SCRIPTS)
def test_words_are_found_in_scripts_without_spaces(polyglot: VideoTimelineStore, script: str) -> None:
    for word in UNSPACED_SCRIPTS[script]:
        assert word in polyglot.search(word, k=1)[0].page_content


@pytest.mark.parametrize(
    ("query", "script", "place"),
    [
        ("ΑΝΤΛΊΑ", "Greek", 2),
        ("αντλια", "Greek", 2),
        ("isigi", "Latin", 1),
        ("IŞIĞI", "Latin", 1),
        ("еще", "Cyrillic", 1),
        ("ЧАЙНИК", "Cyrillic", 3),
        ("ча\u0301йник", "Cyrillic", 3),
        ("المفتاح", "Arabic", 0),
        ("الـــدرج", "Arabic", 0),
        ("اغلق", "Arabic", 3),
        ("המפתח", "Hebrew", 0),
        ("जा\u0901च", "Devanagari", 2),
        ("दरा\u200dज", "Devanagari", 0),
    ],
)
def test_other_spellings_are_found(polyglot: VideoTimelineStore, query: str, script: str, place: int) -> None:
    assert SCRIPTS[script][place] in polyglot.search(query, k=1)[0].page_content


def test_digits_of_all_scripts_are_equal() -> None:
    store = VideoTimelineStore(embedding=BagOfWords(16))
    store.add(make_slides("numbers", *FILLER[:10], "कमरा ४१७ में", "الغرفة ٥٢٣", "Room 618", *FILLER[10:]))
    for query, text in {"417": "४१७", "523": "٥٢٣", "६१८": "618"}.items():
        assert text in store.search(query, k=1)[0].page_content


@pytest.mark.parametrize(("query", "other"), [("мой", "мои"), ("मेल", "मील"), ("บาท", "บาป")])
def test_letters_of_their_own_are_distinguished(query: str, other: str) -> None:
    store = VideoTimelineStore(embedding=BagOfWords(16))
    store.add(make_slides("letters", *FILLER[:10], other, query, *FILLER[10:]))
    assert query in store.search(query, k=1)[0].page_content


def test_an_index_of_another_version_is_rebuilt(tmp_path: Path) -> None:
    VideoTimelineStore(tmp_path, embedding=BagOfWords(16)).add(make_slides("hindi", *FILLER[:10], "चाबी दराज में है"))
    VideoTimelineStore(tmp_path, embedding=BagOfWords(16)).search("चाबी")
    with sqlite3.connect(next(tmp_path.glob("*.index.sqlite3"))) as database:
        database.execute("UPDATE documents SET text = 'stale'")
        database.execute("PRAGMA user_version = 1")
    found = VideoTimelineStore(tmp_path, embedding=BagOfWords(16)).search("चाबी", k=1)
    assert "चाबी" in found[0].page_content


@given(
    st.text(min_size=1, max_size=30).filter(str.strip) | st.text('"*^:()-+{}NEAR AND OR', min_size=1).filter(str.strip)
)
@settings(max_examples=50)
def test_any_query_is_valid(query: str) -> None:
    assert len(WORLD.search(query, k=3)) == 3


@pytest.mark.parametrize("query", ["AND", "NEAR(a b)", "text:x", '"', "***", "a\0b", "x" * 10_000, "word " * 5000, "-"])
def test_fts5_syntax_is_not_interpreted(library: VideoTimelineStore, query: str) -> None:
    assert len(library.search(query, k=2)) == 2


# The observations that match


def search_one(timeline: Timeline, query: str, **filters: Any) -> dict[str, Any]:
    """Return the metadata of the best moment of a timeline."""
    store = VideoTimelineStore(embedding=BagOfWords(16))
    store.add(timeline)
    return store.search(query, k=1, **filters)[0].metadata


RECIPE = make_speech(
    "recipe",
    "Welcome to my kitchen",
    "First whisk two eggs in a bowl",
    "Now we wait for the pan",
    "The butter must not get brown",
    "Fold the omelette with a spoon",
)


@pytest.mark.parametrize(
    ("query", "start", "end"),
    [
        ("whisk eggs", 5, 10),
        ("when did she fold it?", 20, 25),
        ("browning butter", 15, 20),
        ("When are the eggs whisked?", 5, 10),
        ("kitchen, bowl, pan, butter, spoon", 0, 25),
    ],
)
def test_hits_are_the_matching_observations(query: str, start: float, end: float) -> None:
    found = search_one(RECIPE, query)
    assert (found["hit_start"], found["hit_end"]) == (start, end)
    assert (found["start"], found["end"]) == (0, 25)
    assert found["citation"] == f"file:///films/recipe.mp4#t={start},{end}"


@pytest.mark.parametrize("script", [*SCRIPTS, *UNSPACED_SCRIPTS])
def test_hits_are_found_in_any_script(script: str) -> None:
    sentences = SCRIPTS[script] if script in SCRIPTS else list(UNSPACED_SCRIPTS[script].values())
    timeline = make_speech("talk", *sentences)
    for place, sentence in enumerate(sentences):
        assert search_one(timeline, sentence)["hit_start"] == place * 5, sentence


def test_a_hit_may_be_two_lines_of_a_subtitle() -> None:
    lines = make_speech("film", "It rains", "had he married a more amiable", "woman, he might be respectable", "Oh")
    found = search_one(lines, "respectable if married to an amiable woman")
    assert (found["hit_start"], found["hit_end"]) == (5, 15)


def test_without_shared_words_the_hit_is_the_nearest_in_meaning() -> None:
    store = VideoTimelineStore()
    store.add(RECIPE)
    found = store.search("beating yolks and whites together", k=1)[0].metadata
    assert (found["hit_start"], found["hit_end"]) == (5, 10)


# Scores


class Crowded(SentenceTransformerEmbeddings):
    """The default model with cosine similarities in a quarter of their range, as those of some models are."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[*(value / 2 for value in vector), math.sqrt(0.75)] for vector in super().embed_documents(texts)]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


@pytest.fixture(scope="module")
def kitchen() -> VideoTimelineStore:
    store = VideoTimelineStore()
    store.add(make_slides("kitchen", *[one.text for one in RECIPE.observations], "Invoice AX-4471", *FILLER[:20]))
    return store


def test_scores_fall_from_1_to_0(kitchen: VideoTimelineStore) -> None:
    scores = [one.metadata["score"] for one in kitchen.search("frying butter", k=20)]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


def test_scores_of_different_questions_can_be_compared(kitchen: VideoTimelineStore) -> None:
    questions = ["AX-4471", "how do I whisk the eggs", "how long does the flight to Tokyo take"]
    exact, close, unrelated = (kitchen.search(one, k=1)[0].metadata["score"] for one in questions)
    assert exact > close > unrelated


def test_scores_do_not_depend_on_the_scale_of_similarities(kitchen: VideoTimelineStore) -> None:
    crowded = VideoTimelineStore(embedding=Crowded())
    crowded.add(kitchen.timeline("kitchen"))
    for query in ("frying butter", "AX-4471", "flight to Tokyo"):
        expected, found = ([one.metadata for one in store.search(query, k=3)] for store in (kitchen, crowded))
        assert [one["start"] for one in found] == [one["start"] for one in expected]
        assert [one["score"] for one in found] == pytest.approx([one["score"] for one in expected], abs=0.05)


class Constant(BagOfWords):
    """Gives the same vector to all texts."""

    def embed_query(self, text: str) -> list[float]:
        return [0.6, 0.8]


def test_a_model_that_distinguishes_nothing_leaves_the_search_by_words() -> None:
    store = VideoTimelineStore(embedding=Constant())
    store.add(make_slides("manual", *FILLER[:10], "Order AX-4471", *FILLER[10:20]))
    assert "AX-4471" in store.search("AX-4471", k=1)[0].page_content


class NotFinite(BagOfWords):
    """Gives vectors with a number that is not finite, for some texts."""

    def embed_query(self, text: str) -> list[float]:
        return [float("nan") if "bad" in text else 1.0, 0.5]


def test_vectors_that_are_not_finite_are_an_error() -> None:
    store = VideoTimelineStore(embedding=NotFinite())
    store.add(make_slides("good", "one", "two"))
    with pytest.raises(ModelError, match="not finite"):
        store.search("bad")
    with pytest.raises(ModelError, match="not finite"):
        store.add(make_slides("other", "bad"))
    assert [video.title for video in store.videos()] == ["good"]
    assert len(store.search("one", k=5)) == 2


def test_moments_below_the_minimum_score_are_left_out(kitchen: VideoTimelineStore) -> None:
    best, *others = kitchen.search("whisk two eggs", k=5)
    limit = best.metadata["score"]
    assert kitchen.search("whisk two eggs", k=5, min_score=limit - 0.01)[:1] == [best]
    assert kitchen.search("whisk two eggs", k=5, min_score=min(limit + 0.01, 1.0)) == []
    assert len(others) == 4


def test_single_letters_in_capitals_are_no_codes(kitchen: VideoTimelineStore) -> None:
    upper, lower = (kitchen.search(f"When do {subject} whisk the eggs?", k=3) for subject in "Ii")
    assert upper == lower


def test_possessives_match_the_name() -> None:
    store = VideoTimelineStore(embedding=BagOfWords(16))
    store.add(make_slides("talk", *FILLER[:10], "Belady showed it", *FILLER[10:20]))
    assert "Belady" in store.search("Belady's", k=1)[0].page_content


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("tomatoes", "a tomato"),
        ("Tomaten", "die Tomate"),
        ("Löschwasser", "die Löschwasserversorgung"),
        ("насосы", "проверьте насосом"),
        ("स्कूटरों", "लाल स्कूटर"),
        ("달걀을", "달걀 두 개"),
    ],
)
def test_other_forms_of_a_word_match(query: str, text: str) -> None:
    store = VideoTimelineStore(embedding=BagOfWords(16))
    store.add(make_slides("talk", *FILLER[:10], text, *FILLER[10:20]))
    assert text in store.search(query, k=1)[0].page_content


# Hits of long observations


def test_hits_of_long_observations_are_cut_to_the_moment() -> None:
    slide = Observation(0, 100, "screen_text", "Page tables")
    talk = make_timeline("talk", slide, Observation(40, 44, "speech", "a tree of arrays"), duration=100)
    store = VideoTimelineStore(embedding=BagOfWords(16))
    store.add(talk)
    found = store.search("page tables", k=10)
    assert sorted((one.metadata["hit_start"], one.metadata["hit_end"]) for one in found) == [
        (0, 25),
        (25, 50),
        (50, 75),
        (75, 100),
    ]


def test_hits_are_in_the_requested_interval() -> None:
    twice = make_speech("talk", "the red pump", "a valve", "the grey pump", "a hose")
    assert search_one(twice, "pump", start=8)["hit_start"] == 10
    assert search_one(twice, "pump", end=8)["hit_start"] == 0


def test_hits_have_the_requested_modalities() -> None:
    said, shown = Observation(2, 5, "speech", "two eggs"), Observation(8, 12, "screen_text", "two eggs")
    assert search_one(make_timeline("talk", said, shown), "eggs", modalities="screen_text")["hit_start"] == 8


def test_subtitles_long_after_the_last_frame_are_hits() -> None:
    late = Observation(5000, 5040, "subtitle", "The password is heliotrope")
    talk = Timeline.of(make_slides("talk", "Hello").video, "talk", [late, Observation(0, 5, "speech", "Hello")])
    assert search_one(talk, "heliotrope")["hit_end"] <= 5040


def make_split_sentence(*more: Observation) -> VideoTimelineStore:
    """Build a store of a video in which a sentence begins in the first and ends in the second of three moments."""
    scenes = [Observation(start, start + 20, "scene", f"scene {start}") for start in (0, 20, 40)]
    said = [(0, "hello there"), (18, "tighten the drive belt"), (25, "that was easy"), (45, "a belt is cheap")]
    talk = [Observation(start, start + 5, "speech", text) for start, text in said]
    store = VideoTimelineStore(embedding=BagOfWords(16))
    store.add(make_timeline("repair", *scenes, *talk, *more, duration=60))
    return store


def test_a_sentence_across_two_moments_is_one_hit() -> None:
    found = [one.metadata for one in make_split_sentence().search("tighten the belt", k=2)]
    assert {one["start"] for one in found} in ({0, 40}, {20, 40})
    assert (found[0]["hit_start"], found[0]["hit_end"]) == (18, 23)


def test_both_moments_of_a_sentence_are_hits_if_both_match_otherwise() -> None:
    before, after = (Observation(start, start + 5, "speech", "tighten this belt") for start in (8, 30))
    found = make_split_sentence(before, after).search("tighten it", k=3)
    assert {one.metadata["start"] for one in found} >= {0, 20}


def test_moments_that_share_an_observation_but_match_by_another_are_hits() -> None:
    found = make_split_sentence().search("hello easy", k=2)
    assert {one.metadata["start"] for one in found} == {0, 20}


# Filters


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
        _place(document)
        for document in DOCUMENTS
        if (wanted is None or document.metadata["video_id"] in wanted)
        and document.metadata["start"] < high
        and (document.metadata["end"] > low or document.metadata["start"] >= low)
        and (modalities is None or set(modalities) & set(document.metadata["modalities"].split(",")))
    ]
    everything = WORLD.search(query, k=1000, video_id=video_id, start=start, end=end, modalities=modalities)
    assert sorted(map(_place, everything)) == sorted(expected)
    best = WORLD.search(query, k=k, video_id=video_id, start=start, end=end, modalities=modalities)
    assert best[:1] == everything[:1]
    assert len(best) == min(k, len(expected))


def _place(moment: Document) -> tuple[str, float]:
    return moment.metadata["video_id"], moment.metadata["start"]


def test_filters_apply_if_too_many_moments_match_for_an_exact_search() -> None:
    store = VideoTimelineStore(embedding=BagOfWords(64))
    for number in range(4):
        store.add(make_slides(f"long-{number}", *[f"slide {at} of {number}" for at in range(600)], seconds=1.0))
    found = store.search("slide 599 of 2", k=3, start=100)
    assert all("slide 599 of" in document.page_content for document in found)
    assert all(document.metadata["end"] > 100 for document in found)
    assert len(store.search("slide", k=50, start=1, end=599, modalities="screen_text")) == 50
    assert len(store.search("slide", k=3000)) == 2400
    assert len(store.search("slide", k=3000, start=1, modalities="screen_text")) == 2396


def test_moments_may_be_removed_while_others_search() -> None:
    store = VideoTimelineStore(embedding=BagOfWords(64))
    for number in range(8):
        store.add(make_slides(f"film-{number}", *[f"slide {at} of {number}" for at in range(100)], seconds=1.0))

    def change() -> None:
        for number in range(1, 6):
            store.remove(f"film-{number}")
        store.add(make_slides("film-9", *[f"slide {at} of 9" for at in range(100)], seconds=1.0))

    with ThreadPoolExecutor() as pool:
        changing = pool.submit(change)
        searches = [pool.submit(store.search, "slide 7 of 0", k=k, start=1) for k in [3, 1000] * 10]
        changing.result()
        found = [search.result() for search in searches]
    assert all(one[0].metadata["video_id"] == "film-0" for one in found)
    assert len(store.search("slide", k=10**30)) == 400


def test_as_many_moments_as_requested_are_found_if_each_has_many_observations() -> None:
    store = VideoTimelineStore(embedding=BagOfWords(64))
    lines = [f"line {place % 40} of {place}" for place in range(600 * 10)]
    store.add(make_speech("long", *lines, seconds=3.0))
    assert len(store.search("line 7 of 47", k=200)) == 200


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"query": " "}, "query"),
        ({"query": "x", "k": 0}, "k"),
        ({"query": "x", "start": 5, "end": 4}, "end"),
        ({"query": "x", "start": float("nan")}, "start"),
        ({"query": "x", "start": -1}, "start"),
        ({"query": "x", "modalities": ["smell"]}, "modalities"),
        ({"query": "x", "min_score": 1.5}, "min_score"),
        ({"query": "x", "min_score": float("nan")}, "min_score"),
    ],
)
def test_invalid_arguments_are_rejected(arguments: dict[str, object], argument: str) -> None:
    with pytest.raises(InputError, match=argument):
        WORLD.search(**arguments)  # type: ignore[arg-type]
