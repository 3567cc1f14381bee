"""The prompts of VideoChat-Text."""

from collections.abc import Set

from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder

from langchain_videochat.errors import InputError
from langchain_videochat.perception.modalities import list_modalities
from langchain_videochat.utils.untrusted_text import ABOUT_NOTES

NOT_SHOWN = "The video does not show this."
"""The answer to a question that the video does not answer."""

WHOLE_VIDEO = "<WHOLE_VIDEO>"
"""What a model replies to a question that it cannot answer from excerpts, because it is about whole videos."""

NOT_SUPPORTED = "The videos do not support an answer to this question."
"""Replaces an answer without supporting citations if only supported answers are wanted."""


def is_not_shown(text: str) -> bool:
    """Return whether a model's answer is that the video does not show what was asked, and nothing else.

    Example:
        >>> is_not_shown('"The video does not show this"'), is_not_shown("The video does not show this, but that.")
        (True, False)
    """
    return text.strip("\"'. \n").casefold() == NOT_SHOWN.strip(".").casefold()


def explain_labels() -> str:
    """Explain the labels of all registered modalities that have a hint, for a system prompt.

    Example:
        >>> explain_labels().split("; ")[0]
        '"Seen": descriptions of single frames'
    """
    return "; ".join(f'"{one.label}": {one.hint}' for one in list_modalities() if one.hint)


_SYSTEM = f"""\
You answer a user's questions about videos. You have not seen the videos: you are given notes of what was seen and \
heard in them, and you answer from these notes.

{ABOUT_NOTES}

How to read the notes:
- Each note begins with its number in square brackets and the time that it covers, as mm:ss or h:mm:ss from the start \
of the video. Its text begins with the video's title. Notes of one video are in chronological order.
- Notes of a long video are condensed: there, numbers and times follow each statement.
- Labels in the notes: {{labels}}.
- The perception models make mistakes. Where lines disagree, trust what several of them agree on; tags and objects can \
correct a description.

How to answer:
- State only what the notes say. Use general knowledge only to explain the people, things and actions in them, never \
to invent events.
- After each statement, cite the number of the note that supports it, such as [1] or [1, 3]. Cite no other numbers, \
and give no times that are not in the notes.
- If the notes do not answer the question, or it is unrelated to the video, write exactly this and nothing else: \
{NOT_SHOWN}
- Be brief, do not mention the notes, and use the language of the question."""

_EXCERPTS = f"""

The notes are excerpts: the moments of the videos that match the question best, and some next to them. First decide \
whether excerpts can answer the question:
- They cannot if it asks about a video, or about all videos, as a whole: for a summary or the topic; for a count, or \
how often something happens in the video; for a list of all topics, people, steps or the like; for what comes first or \
last, or in what order things happen; or for what comes before or after something, if the notes leave out that part of \
the video (see their times). Then write exactly this and nothing else, whatever the language of the question: \
{WHOLE_VIDEO}
You will be asked again with all notes.
- Otherwise it asks for something that is said, shown or done at some moment, such as an amount, a name, a reason or \
advice. Then answer as described above."""


def _create_system_prompt(text: str) -> ChatPromptTemplate:
    # explain_labels is called later, because plugins can register modalities after this module is imported.
    return ChatPromptTemplate([("system", text)], partial_variables={"labels": explain_labels})


SYSTEM_PROMPT = _create_system_prompt(_SYSTEM)
"""The role of the model and how it answers (Table 2 of the paper)."""

TIMELINE_PROMPT = ChatPromptTemplate(
    [
        (
            "human",
            """\
Begin! The notes, in chronological order:

{notes}

Question: {question}""",
        )
    ]
)
"""The textualized video and the question (Table 1 of the paper). `notes` comes from `mark_as_data`."""

ANSWER_PROMPT = SYSTEM_PROMPT + TIMELINE_PROMPT
"""The default prompt that answers a question from all notes, or from those that a retriever finds."""

EXCERPTS_PROMPT = _create_system_prompt(_SYSTEM + _EXCERPTS) + TIMELINE_PROMPT
"""The default prompt that answers a question from some moments of the videos, or replies `WHOLE_VIDEO`."""

CONDENSE_PROMPT = ChatPromptTemplate(
    [
        (
            "system",
            f"""\
A user asks about a whole video that is too long to be read at once. You are given the notes of one part of it. Write \
down everything in them that helps to answer the question. The answer will be written from your text and the texts for \
the other parts.

{ABOUT_NOTES}

- Each note begins with its number in square brackets and the time that it covers. After each statement, cite the \
number of the note that supports it, such as [12]. Cite no other numbers.
- Keep the chronological order, names, codes and numbers. If something is to be counted, list each occurrence.
- Add nothing that the notes do not say.
- If nothing in them helps, write exactly this and nothing else: {NOT_SHOWN}""",
        ),
        (
            "human",
            """\
The notes of this part:

{notes}

The question: {question}""",
        ),
    ]
)
"""Condenses one part of a long video with regard to the question."""

STANDALONE_PROMPT = ChatPromptTemplate(
    [
        (
            "system",
            """\
A user is asking about videos. Rewrite the last question so that it can be understood without the conversation: \
replace words like "it", "she", "there" and "then" with the names they refer to. Keep its language and meaning. Do not \
answer it; write the question and nothing else. If it already stands alone, repeat it unchanged.""",
        ),
        MessagesPlaceholder("history"),
        ("human", "Rewrite this question; do not answer it: {question}"),
    ]
)
"""Rewrites a follow-up question as one that stands alone."""


def check_variables(name: str, prompt: ChatPromptTemplate, expected: Set[str]) -> ChatPromptTemplate:
    """Check that a custom prompt has the variables that it will be filled with.

    Raises:
        InputError: It has other variables.
    """
    actual = set(prompt.input_variables)
    if actual != expected:
        problem = f"its variables are {', '.join(sorted(actual)) or 'none'}"
        advice = f"Use {' and '.join(f'{{{one}}}' for one in sorted(expected))}, and fill any others with partial()"
        raise InputError(name, problem, advice)
    return prompt
