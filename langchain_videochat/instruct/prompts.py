"""What a language model is told to make instruction data (paper, Tables 3, 4 and 6, in words of our own)."""

from collections.abc import Mapping
from typing import Literal

from langchain_core.prompts import ChatPromptTemplate

from langchain_videochat.errors import InputError
from langchain_videochat.instruct.items import ConversationKind
from langchain_videochat.text.prompts import ABOUT_NOTES, NOT_SHOWN, check_variables

_TASK = f"""\
You write training data for a model that watches videos. You have not seen the video yourself: you are given notes of \
what was seen, read and heard in it, and you write as if you had watched it.

{ABOUT_NOTES}

How to read the notes:
- Each begins with its number in square brackets and the time that it covers, as mm:ss or h:mm:ss from the start of \
the video. The first line within is the video's title. Notes stand in time order; those of a long video are condensed.
- "Seen" describes single pictures, "In detail" parts of a picture, "In general" sums up a scene. "Speech" and \
"Subtitles" are what is said, "On screen" is what can be read.
- The models that wrote them err. Where two lines disagree, trust what several of them say, and leave out what stays \
doubtful.
"""

_NOTES = """\
The notes, in time order:

{notes}

"""

DESCRIBE_PROMPT = ChatPromptTemplate(
    [
        (
            "system",
            _TASK
            + """
How to describe the video:
- Tell what happens in the order of time, with words such as first, next, then and finally.
- Give as much detail as the notes bear: people, things, colours, counts, places, actions, what is said and what can \
be read. Make nothing up.
- Name no times, neither of a clock nor in seconds, and no numbers of notes.
- Never mention the notes, a text, a description or a model.
- Write one paragraph of {shortest} to {longest} words in {language}, in whole sentences, and nothing else.""",
        ),
        ("human", _NOTES + "Describe the video."),
    ]
)
"""Makes a description of `notes`, with `shortest` to `longest` words in `language` (Table 3)."""

CORRECT_PROMPT = ChatPromptTemplate(
    [
        (
            "system",
            f"""\
You mend descriptions of videos, which may have been written by a careless writer. What you are to mend stands in \
place of notes:

{ABOUT_NOTES}

"""
            + """\
- Mend errors of grammar, spelling and logic.
- Drop what is said twice, what is not in {language}, what is cut off, and what names times or speaks of notes, of a \
text or of a description.
- Change nothing else, and add nothing. If all is right already, repeat it as it is.
- Write the mended description and nothing else, without a heading and without tags.""",
        ),
        ("human", "The description:\n\n{description}\n\nWrite it as it should be."),
    ]
)
"""Mends the `description`, which is to be in `language` (Table 4)."""

_CONVERSE = f"""
How to write the conversation:
- Two talk about the video: one asks, the other answers, and both have watched it. Write four to six questions with \
their answers, in an order in which people would ask, in {{language}}.
- Prefer questions that no single picture of the video can answer.
- Ask only what the notes answer beyond doubt, and answer in one or several whole sentences. Should you ask for \
something that the video leaves open, let the answer be, in {{language}}: "{NOT_SHOWN}"
- Never mention the notes, a text, a description or a model.
- Write JSON and nothing else: [{{{{"q": "the first question", "a": "its answer"}}}}, {{{{"q": "...", "a": "..."}}}}]"""

_ASKED = {
    "descriptive": """
What to ask about: what there is and what it is like. Objects and their properties, how many there are, who does \
what, where things are, and how they relate to one another.
""",
    "temporal": """
What to ask about: the order of events. What a person did before or after something else, what came first and what \
last, what changed, what happened meanwhile, and at which point of the video something happened.
""",
    "causal": """
What to ask about: reasons and consequences. Why something happened, what one has to know to understand it, what \
would be if something had gone otherwise, what people feel and why, and what is likely to happen next.
""",
}


def _converse_prompt(kind: ConversationKind) -> ChatPromptTemplate:
    return ChatPromptTemplate(
        [("system", _TASK + _ASKED[kind] + _CONVERSE), ("human", _NOTES + f"Write the {kind} conversation.")]
    )


CONDENSE_PROMPT = ChatPromptTemplate(
    [
        (
            "system",
            _TASK
            + """
The video is too long to be read at once: these are the notes of one part of it. Write down, in the order of time, \
what happens, who and what is seen and what it is like, what is said and what can be read, for somebody who will write \
about the whole video. Add nothing, and be as brief as you can without losing what matters.""",
        ),
        ("human", _NOTES + "Write down what this part of the video shows."),
    ]
)
"""Condenses the `notes` of one part of a long video."""

JUDGE_PROMPT = ChatPromptTemplate(
    [
        (
            "system",
            f"""\
You check what somebody wrote about a video against notes of what was seen, read and heard in it. The statements, too, \
stand where notes stand:

{ABOUT_NOTES}

"""
            + """\
- A statement is supported if the notes say it, or if it follows from them and from what everybody knows. Reasons, \
feelings and what may happen next need only be likely.
- It is not supported if the notes contradict it, or if it tells of people, things or events that they do not tell of.
- Write JSON and nothing else: a list of the numbers of the statements that are not supported, as [2, 5], or [] if all \
are.""",
        ),
        ("human", _NOTES + "The statements:\n\n{statements}\n\nWhich of them are not supported?"),
    ]
)
"""Names those of the numbered `statements` that the `notes` do not support."""


PromptName = Literal["describe", "correct", ConversationKind, "condense", "judge"]

PROMPTS: dict[PromptName, ChatPromptTemplate] = {
    "describe": DESCRIBE_PROMPT,
    "correct": CORRECT_PROMPT,
    "descriptive": _converse_prompt("descriptive"),
    "temporal": _converse_prompt("temporal"),
    "causal": _converse_prompt("causal"),
    "condense": CONDENSE_PROMPT,
    "judge": JUDGE_PROMPT,
}
"""All of them. The three kinds of conversation (Table 6) are made of `notes` in `language`, and must ask for JSON."""


def check_prompts(prompts: Mapping[PromptName, ChatPromptTemplate]) -> None:
    """Make sure that prompts of a user's own can take the place of these.

    Raises:
        InputError: One has another name, or other variables than the one that it replaces.
    """
    for name, prompt in prompts.items():
        if name not in PROMPTS:
            raise InputError("prompts", f"{name!r} is unknown", f"Take some of {', '.join(PROMPTS)}")
        check_variables(f"prompts[{name!r}]", prompt, set(PROMPTS[name].input_variables))
