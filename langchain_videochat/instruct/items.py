"""Instruction items: descriptions of videos and conversations about them, with the gates that rejected them."""

from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from langchain_videochat.media.sources import is_remote_address
from langchain_videochat.timeline import Timeline
from langchain_videochat.timeline.citation import source_uri
from langchain_videochat.utils.untrusted_text import strip_invisible

ConversationKind = Literal["descriptive", "temporal", "causal"]
ItemKind = Literal["description"] | ConversationKind

CONVERSATION_KINDS: tuple[ConversationKind, ...] = get_args(ConversationKind)
ITEM_KINDS: tuple[ItemKind, ...] = ("description", *CONVERSATION_KINDS)


def _clean(text: Any) -> Any:
    return strip_invisible(text) if isinstance(text, str) else text


CleanText = Annotated[str, StringConstraints(strip_whitespace=True), BeforeValidator(_clean)]
"""Generated text without invisible characters, which some file formats cannot store."""

NonEmptyText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1), BeforeValidator(_clean)]
"""`CleanText` that is not empty."""


class QAPair(BaseModel):
    """A question about a video and its answer.

    Example:
        >>> QAPair.model_validate({"question": "What is it?", "answer": "It is a cat. "})
        QAPair(q='What is it?', a='It is a cat.')
    """

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    q: NonEmptyText = Field(validation_alias=AliasChoices("q", "question"))
    """The question."""

    a: NonEmptyText = Field(validation_alias=AliasChoices("a", "answer"))
    """The answer."""


class GateFailure(BaseModel):
    """The reason why a gate rejected an item."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    gate: str
    """Name of the gate."""

    reason: str
    """Why the item was rejected."""


class InstructionItem(BaseModel):
    """A description of a video, or a conversation about it.

    Example:
        >>> item = InstructionItem(
        ...     video_id="c0ffee", video="/cat.mp4", kind="description", language="English", text="It jumps."
        ... )
        >>> item.id, item.answers
        ('c0ffee/description/english', ['It jumps.'])
    """

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    video_id: str
    """Hash of the video's content."""

    video: str
    """Absolute path or URL of the video."""

    kind: ItemKind
    """Kind of item."""

    language: str
    """English name of the requested language."""

    text: CleanText = ""
    """The description, or the model's answer if it could not be parsed as a conversation."""

    pairs: tuple[QAPair, ...] = ()
    """Turns of a conversation; empty for a description."""

    flags: tuple[str, ...] = ()
    """Remarks that do not reject the item."""

    failures: tuple[GateFailure, ...] = Field(default=(), validation_alias=AliasChoices("failures", "faults"))
    """Why the item was rejected; empty if it was accepted."""

    @classmethod
    def from_timeline(cls, timeline: Timeline, kind: ItemKind, language: str, **content: Any) -> "InstructionItem":
        """Create an item about the video of a timeline."""
        source = timeline.video.source
        video = source if is_remote_address(source) else url2pathname(urlsplit(source_uri(source)).path)
        return cls(video_id=timeline.video_id, video=video, kind=kind, language=language, **content)

    @property
    def id(self) -> str:
        """Unique identifier, made of video, kind and language."""
        return item_id(self.video_id, self.kind, self.language)

    @property
    def questions(self) -> list[str]:
        """Questions of the conversation."""
        return [pair.q for pair in self.pairs]

    @property
    def answers(self) -> list[str]:
        """Target texts for training: the description, or the answers of the conversation."""
        return [self.text] if self.kind == "description" else [pair.a for pair in self.pairs]


def item_id(video_id: str, kind: ItemKind, language: str) -> str:
    """Return the identifier of an item.

    Model and prompts are not part of it, so that another model can complete a dataset.
    """
    return f"{video_id}/{kind}/{language.casefold()}"
