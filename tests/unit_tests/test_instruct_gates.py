"""Quality gates of instruction data: what each must accept and reject."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_videochat.errors import InputError
from langchain_videochat.instruct import InstructionItem
from langchain_videochat.instruct.duplicates import mark_duplicates
from langchain_videochat.instruct.gates import build_gates, run_gates, single_frame_flags
from langchain_videochat.instruct.sentences import count_words, split_sentences

GERMAN = "Zuerst öffnet ein Mann die Tür, dann geht er in die Küche und schneidet dort eine Zwiebel."
ENGLISH = "First, a man opens the door, then he walks into the kitchen and cuts an onion there."
CHINESE = "首先，一个男人打开门，然后他走进厨房，在那里切洋葱。"  # noqa: RUF001
THAI = "ชายคนหนึ่งเปิดประตูแล้วเดินเข้าไปในครัวและหั่นหัวหอม"


def description(text: str, language: str = "English") -> InstructionItem:
    return InstructionItem(video_id="c0ffee", video="/a.mp4", kind="description", language=language, text=text)


def conversation(*pairs: tuple[str, str], language: str = "English") -> InstructionItem:
    given: Any = [{"q": question, "a": answer} for question, answer in pairs]
    return InstructionItem(video_id="c0ffee", video="/a.mp4", kind="temporal", language=language, pairs=given)


TALK = (("What does the man do first?", "He opens the door."), ("And then?", "He cuts an onion in the kitchen."))


def failed_gates(item: InstructionItem, words: tuple[int, int] = (1, 1000)) -> list[str]:
    return [failure.gate for failure in run_gates(build_gates(item.language, words), item)]


@pytest.mark.parametrize("item", [description(ENGLISH), description(GERMAN, "German"), conversation(*TALK)])
def test_good_items_pass_all_gates(item: InstructionItem) -> None:
    assert failed_gates(item) == []


@pytest.mark.parametrize(("count", "fits"), [(149, False), (150, True), (200, True), (201, False)])
def test_descriptions_must_have_the_required_length(count: int, fits: bool) -> None:
    text = " ".join(["word"] * count)
    assert ("length" in failed_gates(description(text), (150, 200))) != fits
    assert "length" not in failed_gates(conversation((text, text)), (150, 200))


def test_words_are_counted_in_scripts_without_spaces() -> None:
    assert count_words(CHINESE) == 11
    assert count_words("Don't stop - 3.5 kg, 'tis well-known.") == 6
    assert count_words("ใส่กุญแจ") == 3
    assert failed_gates(description(CHINESE, "Chinese"), (10, 12)) == []
    assert failed_gates(description(CHINESE, "Chinese"), (12, 20)) == ["length"]


@pytest.mark.parametrize(
    ("item", "gates"),
    [
        (conversation(TALK[0]), ["turns"]),
        (conversation(*TALK), []),
        (description(ENGLISH), []),
    ],
)
def test_conversations_must_have_several_turns(item: InstructionItem, gates: list[str]) -> None:
    assert failed_gates(item) == gates


@pytest.mark.parametrize(
    ("item", "gates"),
    [
        (description(GERMAN), ["language"]),
        (description(ENGLISH, "German"), ["language"]),
        (description(CHINESE), ["language"]),
        (
            conversation(TALK[0], ("Was macht der Mann danach?", "Er schneidet eine Zwiebel in der Küche.")),
            ["language"],
        ),
        (description("Xu!"), []),  # too short to identify
        (description(THAI, "Thai"), []),
        (description("Aloha mai kākou e nā hoa aloha.", "Hawaiian"), []),  # not supported by the identifier
    ],
)
def test_other_languages_are_rejected(item: InstructionItem, gates: list[str]) -> None:
    assert failed_gates(item) == gates


def test_unknown_languages_are_errors() -> None:
    with pytest.raises(InputError, match="unknown language 'Klingon'"):
        build_gates("Klingon", (1, 2))


@pytest.mark.parametrize(
    "text",
    [
        "At 0:05, a man opens the door.",
        "A man opens the door (00:05-00:12).",
        "At 1:02:03 a man opens the door.",
        "After 5 seconds, a man opens the door.",
        "A man opens the door for 2.5s.",
        "At second 12 a man opens the door.",
        "At the timestamp that is given, a man opens the door.",
    ],
)
def test_times_in_descriptions_are_rejected(text: str) -> None:
    assert failed_gates(description(text)) == ["times"]
    assert failed_gates(conversation((text, text), ("And then?", "He goes."))) == []


@pytest.mark.parametrize(
    "text",
    [
        "A man adds 2 spoons of sugar in a second bowl.",
        "The score is 3:2 and 12 minutes are left to play, says the man.",
        "Two seconds later a man in a shirt with the number 7 opens the door.",
    ],
)
def test_other_numbers_are_accepted(text: str) -> None:
    assert failed_gates(description(text)) == []


def test_timecodes_are_rejected_in_all_languages_and_words_only_in_english() -> None:
    assert failed_gates(description("Um 0:05 öffnet ein Mann die Tür zur Küche.", "German")) == ["times"]
    assert failed_gates(description("Der Mann hebt 5 s lang die Hand, wie man sieht.", "German")) == []


@pytest.mark.parametrize(
    "text",
    [
        "According to the description, the man cuts an onion.",
        "Based on the provided text, he is a cook.",
        "The text describes a man in a kitchen.",
        "The notes say that he is a cook.",
        "The video description does not mention his name.",
        "It is not mentioned in the transcript where he is.",
        "The timeline indicates that he leaves.",
        "As described in the video, he cuts an onion.",
        "The text doesn't tell who he is.",
        "The text doesn’t tell who he is.",  # noqa: RUF001
    ],
)
def test_mentions_of_the_notes_are_rejected(text: str) -> None:
    assert failed_gates(description(text)) == ["mention"]
    assert failed_gates(conversation(*TALK, ("Who is he?", text))) == ["mention"]


@pytest.mark.parametrize(
    "text",
    [
        "The text on the screen reads Two quick recipes.",
        "A text appears, and the man points at it.",
        "The man reads from the text that he holds.",
        "In the text on his shirt one letter is missing.",
        "He takes notes and writes a description of the dish.",
        "She sings notes that nobody else can sing.",
    ],
)
def test_mentions_of_text_in_the_picture_are_accepted(text: str) -> None:
    assert failed_gates(description(text)) == []


@pytest.mark.parametrize("mark", ["<video_notes>", "```json", "###Human:", "<Video>", "[3]"])
def test_prompt_markup_is_rejected(mark: str) -> None:
    assert failed_gates(description(f"A man {mark} opens the door.")) == ["marks"]
    assert failed_gates(description("A man [smiling] opens the door # 3 at <Main Street>.")) == []


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I cannot describe this video.",
        "I’m sorry, but I can’t help with that.",  # noqa: RUF001
        "As an AI language model, I have not seen it.",
        "Sorry, this is not possible.",
        "Unfortunately, I am not able to see videos.",
    ],
)
def test_refusals_are_rejected(text: str) -> None:
    assert failed_gates(description(text)) == ["refusal"]


def test_quoted_refusals_are_accepted() -> None:
    assert failed_gates(description('A sorry looking man says "I cannot help you" and leaves the room.')) == []


@pytest.mark.parametrize(
    "item",
    [
        description("A man opens the door. He cuts an onion. A man opens the door!"),
        conversation(*TALK, ("What does the man do first?", "He knocks.")),
        conversation(*TALK, ("Why?", "He wants to cook a meal. He wants to cook a meal.")),
        description("A man goes to the door and goes to the door and goes to the door and leaves it."),
    ],
)
def test_repetitions_are_rejected(item: InstructionItem) -> None:
    assert failed_gates(item) == ["repeats"]


def test_vowel_signs_do_not_separate_words() -> None:
    assert failed_gates(description("बच्चे ने बाबाबाबाबाबा कहा और चला गया।", "Hindi")) == []


@pytest.mark.parametrize(
    "item",
    [
        description("He waits. A man opens the door. He waits. Another man opens the door and the window."),
        conversation(*TALK, ("Why?", "The video does not show this."), ("Who?", "The video does not show this.")),
        description("The man says no, no, no, and walks up and up the stairs."),
    ],
)
def test_short_repetitions_are_accepted(item: InstructionItem) -> None:
    assert failed_gates(item) == []


@pytest.mark.parametrize(
    "item",
    [
        description("A man opens the door. Then he"),
        description("A man opens the door, and then..."),
        description("A man opens the door, and then…"),
        conversation(*TALK, ("Why does he cut the onion?", "Because he wants to cook a")),
        conversation(*TALK, ("Why does he", "He wants to cook a meal.")),
    ],
)
def test_truncated_texts_are_rejected(item: InstructionItem) -> None:
    assert failed_gates(item) == ["unfinished"]


@pytest.mark.parametrize(
    "item",
    [
        description('A man opens the door and says "Hello."'),
        description("A man opens the door (which is red)."),
        description(CHINESE, "Chinese"),
        description("एक आदमी दरवाज़ा खोलता है और रसोई में जाता है।", "Hindi"),
        description(THAI, "Thai"),  # Thai has no full stops
    ],
)
def test_complete_sentences_are_accepted_in_all_scripts(item: InstructionItem) -> None:
    assert failed_gates(item) == []


def test_only_questions_that_one_frame_answers_are_flagged() -> None:
    item = conversation(
        ("What color is the door?", "It is red."),
        ("What color is the door after he paints it?", "It is green."),
        ("How many people are there?", "There are two."),
        ("How many times does he knock?", "He knocks twice."),
        ("What is the man wearing?", "He wears a hat."),
        ("Why does he leave?", "He is late."),
    )
    flagged = [flag.removeprefix("answered by one frame: ") for flag in single_frame_flags(item)]
    assert flagged == ["What color is the door?", "How many people are there?", "What is the man wearing?"]
    assert failed_gates(item) == []
    assert single_frame_flags(item.model_copy(update={"language": "German"})) == ()
    assert single_frame_flags(description("What color is the door?")) == ()


def test_the_first_of_several_near_duplicates_is_kept() -> None:
    text = " ".join(f"Then the man takes thing number {number} from the shelf." for number in range(30))
    items = [description(text), description(text.replace("17", "seventeen")), description(ENGLISH)]
    items = [item.model_copy(update={"video_id": f"video{number}"}) for number, item in enumerate(items)]
    first, twin, other = mark_duplicates(items)
    assert (first.failures, other.failures) == ((), ())
    assert [(failure.gate, failure.reason) for failure in twin.failures] == [
        ("duplicate", "it is nearly the same as video0/description/english")
    ]


def test_items_that_share_half_their_words_are_not_duplicates() -> None:
    texts = [" ".join(f"A{half}{number}b does what it does." for number in range(40)) for half in ("x", "y")]
    items = [description(text).model_copy(update={"video_id": text[:3]}) for text in texts]
    assert [item.failures for item in mark_duplicates(items)] == [(), ()]


@given(st.text(max_size=300))
def test_gates_accept_any_text(text: str) -> None:
    for item in (description(text), conversation((f"{text}?", f"{text}."), ("Why?", f".{text}"))):
        for failure in run_gates(build_gates("English", (1, 10)), item):
            assert failure.reason
        single_frame_flags(item)


@given(st.text())
def test_sentences_contain_all_words(text: str) -> None:
    assert sum(map(count_words, split_sentences(text))) >= count_words(text)
