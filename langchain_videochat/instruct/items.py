"""What instruction data is made of: descriptions and conversations, each with what is wrong with it."""

from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from langchain_videochat.media.sources import is_web_address
from langchain_videochat.text.prompts import visible
from langchain_videochat.timeline import Timeline
from langchain_videochat.timeline.citation import source_uri

ConversationKind = Literal["descriptive", "temporal", "causal"]
Kind = Literal["description"] | ConversationKind

CONVERSATION_KINDS: tuple[ConversationKind, ...] = get_args(ConversationKind)
KINDS: tuple[Kind, ...] = ("description", *CONVERSATION_KINDS)


def _clean(text: Any) -> Any:
    return visible(text) if isinstance(text, str) else text


Written = Annotated[str, StringConstraints(strip_whitespace=True), BeforeValidator(_clean)]
"""What a model wrote, without what no reader sees and no file can hold."""

Said = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1), BeforeValidator(_clean)]
"""The same, and not nothing."""


class Pair(BaseModel):
    """A question about a video, and its answer.

    Example:
        >>> Pair.model_validate({"question": "What is it?", "answer": "It is a cat. "})
        Pair(q='What is it?', a='It is a cat.')
    """

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    q: Said = Field(validation_alias=AliasChoices("q", "question"))
    """What is asked."""

    a: Said = Field(validation_alias=AliasChoices("a", "answer"))
    """What is answered."""


class Fault(BaseModel):
    """Why an item is rejected."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    gate: str
    """Which gate it did not pass."""

    reason: str
    """What is wrong, as the rest of a sentence."""


class Item(BaseModel):
    """A description of a video, or a conversation about it.

    Example:
        >>> item = Item(video_id="c0ffee", video="/cat.mp4", kind="description", language="English", text="It jumps.")
        >>> item.id, item.answers
        ('c0ffee/description/english', ['It jumps.'])
    """

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    video_id: str
    """Hash of the video's content."""

    video: str
    """The video's absolute path, or its address."""

    kind: Kind
    """A description, or which kind of conversation."""

    language: str
    """The language that was asked for, by its English name."""

    text: Written = ""
    """The description; of a conversation that could not be read, what the model wrote."""

    pairs: tuple[Pair, ...] = ()
    """The conversation."""

    flags: tuple[str, ...] = ()
    """What a reader should know, though it is no fault."""

    faults: tuple[Fault, ...] = ()
    """Why it is rejected; empty if it is not."""

    @classmethod
    def about(cls, timeline: Timeline, kind: Kind, language: str, **content: Any) -> "Item":
        """Make an item about the video of a timeline."""
        source = timeline.video.source
        video = source if is_web_address(source) else url2pathname(urlsplit(source_uri(source)).path)
        return cls(video_id=timeline.video_id, video=video, kind=kind, language=language, **content)

    @property
    def id(self) -> str:
        """What sets it apart from all others: the video, the kind and the language."""
        return item_id(self.video_id, self.kind, self.language)

    @property
    def questions(self) -> list[str]:
        """The questions of a conversation."""
        return [pair.q for pair in self.pairs]

    @property
    def answers(self) -> list[str]:
        """What a model is to learn to say: the description, or the answers of a conversation."""
        return [self.text] if self.kind == "description" else [pair.a for pair in self.pairs]


def item_id(video_id: str, kind: Kind, language: str) -> str:
    """Name an item before it is made."""
    return f"{video_id}/{kind}/{language.casefold()}"
