"""Prompts that generate instruction data (adapted from Tables 3, 4 and 6 of the paper)."""

from collections.abc import Mapping
from typing import Literal

from langchain_core.prompts import ChatPromptTemplate

from langchain_videochat.errors import InputError
from langchain_videochat.instruct.items import ConversationKind
from langchain_videochat.text.prompts import NOT_SHOWN, check_variables, explain_labels
from langchain_videochat.utils.untrusted_text import ABOUT_NOTES

_TASK = f"""\
You write training data for a video model. You have not seen the video: you get notes of what was seen, read and heard \
in it, and you write as if you had watched it.

{ABOUT_NOTES}

How to read the notes:
- Each note begins with its number in square brackets and the time that it covers, as mm:ss or h:mm:ss from the start \
of the video. Its first line is the video's title. Notes are in chronological order, and condensed for a long video.
- Labels of lines: {{labels}}.
- The models that wrote the notes make mistakes. Where lines disagree, trust what several of them say, and leave out \
what remains doubtful.
"""

_NOTES = """\
The notes, in chronological order:

{notes}

"""


def _notes_prompt(instructions: str, request: str) -> ChatPromptTemplate:
    return ChatPromptTemplate(
        [("system", _TASK + instructions), ("human", _NOTES + request)],
        # A function, because plugins can register modalities after this module is imported.
        partial_variables={"labels": explain_labels},
    )


DESCRIBE_PROMPT = _notes_prompt(
    """
How to describe the video:
- Describe what happens in chronological order, with words such as first, next, then and finally.
- Give as much detail as the notes support: people, things, colors, counts, places, actions, speech and visible text. \
Make nothing up.
- Give no times, neither clock times nor seconds, and no note numbers.
- Never mention the notes, a text, a description or a model.
- Write one paragraph of {shortest} to {longest} words in {language}, in whole sentences, and nothing else.""",
    "Describe the video.",
)
"""Writes a description from `notes`, of `shortest` to `longest` words in `language` (Table 3)."""

CORRECT_PROMPT = ChatPromptTemplate(
    [
        (
            "system",
            f"""\
You correct descriptions of videos, which may be poorly written. The description takes the place of the notes:

{ABOUT_NOTES}

- Correct grammar, spelling and logic.
- Remove what is repeated, what is not in {{language}}, what is cut off, and whatever gives times or mentions notes, a \
text or a description.
- Change nothing else and add nothing. If everything is right already, repeat it as it is.
- Write the corrected description and nothing else, without a heading and without tags.""",
        ),
        ("human", "The description:\n\n{description}\n\nWrite the corrected description."),
    ]
)
"""Corrects the `description`, which should be in `language` (Table 4)."""

_CONVERSE = f"""
How to write the conversation:
- Two people talk about a video that both have watched: one asks, the other answers. Write four to six questions with \
answers, in a natural order, in {{language}}.
- Prefer questions that no single frame of the video can answer.
- Ask only what the notes clearly answer, and answer in one or more whole sentences. If you ask something that the \
video leaves open, the answer must be, in {{language}}: "{NOT_SHOWN}"
- Never mention the notes, a text, a description or a model.
- Write JSON and nothing else: [{{{{"q": "the first question", "a": "its answer"}}}}, {{{{"q": "...", "a": "..."}}}}]"""

_TOPICS: dict[ConversationKind, str] = {
    "descriptive": """
What to ask about: what the video contains and what it looks like. Objects and their properties, counts, who does \
what, where things are, and how they relate to one another.
""",
    "temporal": """
What to ask about: the order of events. What a person did before or after something else, what came first and what \
last, what changed, what happened meanwhile, and at which point of the video something happened.
""",
    "causal": """
What to ask about: reasons and consequences. Why something happened, what one has to know to understand it, what \
would have happened otherwise, what people feel and why, and what is likely to happen next.
""",
}


CONDENSE_PROMPT = _notes_prompt(
    """
The video is too long to be read at once: these are the notes of one part. Write down, in chronological order, what \
happens, who and what is seen and what it looks like, what is said and which text is visible, for somebody who will \
write about the whole video. Add nothing, and be as brief as you can without losing what matters.""",
    "Write down what this part of the video shows.",
)
"""Condenses the `notes` of one part of a long video."""

JUDGE_PROMPT = ChatPromptTemplate(
    [
        (
            "system",
            f"""\
You check statements about a video against notes of what was seen, read and heard in it. The statements, too, are \
marked as notes:

{ABOUT_NOTES}

- A statement is supported if the notes say it, or if it follows from them and from common knowledge. Reasons, \
feelings and what may happen next need only be likely.
- It is not supported if the notes contradict it, or if it mentions people, things or events that the notes do not.
- Write JSON and nothing else: a list of the numbers of the unsupported statements, for example [2, 5], or [] if all \
are supported.""",
        ),
        ("human", _NOTES + "The statements:\n\n{statements}\n\nWhich of them are not supported?"),
    ]
)
"""Returns the numbers of the `statements` that the `notes` do not support."""


PromptName = Literal["describe", "correct", ConversationKind, "condense", "judge"]

PROMPTS: dict[PromptName, ChatPromptTemplate] = {
    "describe": DESCRIBE_PROMPT,
    "correct": CORRECT_PROMPT,
    **{kind: _notes_prompt(topic + _CONVERSE, f"Write the {kind} conversation.") for kind, topic in _TOPICS.items()},
    "condense": CONDENSE_PROMPT,
    "judge": JUDGE_PROMPT,
}
"""All prompts. Conversation prompts (Table 6) take `notes` and `language`, and must ask for JSON."""


def check_prompts(prompts: Mapping[PromptName, ChatPromptTemplate]) -> None:
    """Check that prompts can replace the built-in ones.

    Raises:
        InputError: A name is unknown, or a prompt has other variables than the one it replaces.
    """
    for name, prompt in prompts.items():
        if name not in PROMPTS:
            raise InputError("prompts", f"unknown name {name!r}", f"Choose from {', '.join(PROMPTS)}")
        check_variables(f"prompts[{name!r}]", prompt, set(PROMPTS[name].input_variables))
