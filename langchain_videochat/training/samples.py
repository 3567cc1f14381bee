"""What a model is trained on: conversations about videos and images, from files or from anywhere else."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, Protocol, TypeVar, get_args

from pydantic import BaseModel, Field, TypeAdapter, ValidationError, model_validator

from langchain_videochat.embed import Image, Turn, Video, read_image, read_video
from langchain_videochat.embed.conversation import NUM_FRAMES
from langchain_videochat.errors import InputError, SourceError

Media = Literal["image", "video"]
"""What a sample shows."""

MEDIA: tuple[Media, ...] = get_args(Media)

REQUESTS = (
    "Say in a sentence what this {media} shows.",
    "What can be seen in this {media}? Be brief.",
    "Give a short description of the {media}.",
    "Sum up this {media} in a few words.",
    "Write a caption for the {media}.",
    "In short, what is this {media} about?",
    "Tell me briefly what you see in the {media}.",
    "Put the content of this {media} into one sentence.",
    "What is the main thing that the {media} shows?",
    "Describe this {media} concisely.",
    "How would you caption this {media}?",
)
"""What a human asks for in stage 1: as many as the paper's, in words of our own."""


@dataclass(frozen=True)
class Sample:
    """A conversation that a model is to learn: what the assistant says in it.

    Example:
        >>> import numpy as np
        >>> shown = Image(np.zeros((4, 4, 3), np.uint8))
        >>> question, answer = Turn("human", (shown, "What is it?")), Turn("assistant", ("It is black.",))
        >>> Sample((question, answer), "image", "black.png").media
        'image'
    """

    turns: tuple[Turn, ...]
    """Human and assistant take turns; what is shown is in them."""

    media: Media
    """What is shown."""

    source: str
    """The file, or another name by which a person finds it again."""


class Samples(Protocol):
    """A source of samples: a list of them, files that are read when an item is taken, or a generated world.

    Items are taken in other processes too. The same index gives the same sample.
    """

    def __len__(self) -> int:
        """Tell how many there are."""
        ...

    def __getitem__(self, index: int, /) -> Sample:
        """Give one of them.

        Raises:
            MediaError, SourceError, InputError: It cannot be read; the next one then takes its place.
        """
        ...


class _Item(BaseModel):
    """What an entry of either kind of file shows."""

    image: str | None = None
    video: str | None = None

    @model_validator(mode="after")
    def _show_one(self) -> "_Item":
        if bool(self.image) == bool(self.video):
            raise ValueError('it needs either "image" or "video"')
        return self

    @property
    def media(self) -> Media:
        return "video" if self.video else "image"

    @property
    def path(self) -> str:
        return self.video or self.image or ""

    @property
    @abstractmethod
    def content(self) -> Any:
        """What is said about it."""


_Text = Annotated[str, Field(pattern=r"\S")]


class _Caption(_Item):
    caption: _Text

    @property
    def content(self) -> str:
        return self.caption


class _Pair(BaseModel):
    question: _Text = Field(alias="q")
    answer: _Text = Field(alias="a")


class _Conversation(_Item):
    pairs: list[_Pair] = Field(alias="QA", min_length=1)

    @property
    def content(self) -> list[tuple[str, str]]:
        return [(pair.question, pair.answer) for pair in self.pairs]


_ItemT = TypeVar("_ItemT", bound=_Item)


class _SampleFile(ABC, Generic[_ItemT]):
    """A JSON file of samples, of which those of one medium are taken."""

    kind: type[_ItemT]

    def __init__(
        self, file: str | Path, media: Media, *, root: str | Path | None = None, num_frames: int = NUM_FRAMES
    ) -> None:
        # Not the items themselves, which take several times the memory: a file may have millions.
        self._items = [(item.path, item.content) for item in _read(file, self.kind) if item.media == media]
        self._media: Media = media
        self._folder = Path(file).parent if root is None else Path(root)
        self._num_frames = num_frames

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int, /) -> Sample:
        path, content = self._items[index]
        return Sample(tuple(self._converse(self._open(path), content, index)), self._media, path)

    @abstractmethod
    def _converse(self, shown: Video | Image, content: Any, index: int) -> Iterator[Turn]:
        """Make the turns of an item."""

    def _open(self, path: str) -> Video | Image:
        if self._media == "image":
            return read_image(self._folder / path)
        return read_video(self._folder / path, self._num_frames)


class CaptionFile(_SampleFile[_Caption]):
    """Captions of videos or images, the data of stage 1 (paper 3.2.1), one of several requests before each.

    The file is JSON: `[{"video": "clips/1.mp4", "caption": "a cat jumps"}, {"image": ...}, ...]`.

    Args:
        file: The JSON file.
        media: Which of its items are taken.
        root: Folder from which its paths count; that of the file if None.
        num_frames: Frames that are taken of a video.

    Raises:
        SourceError: There is no such file.
        InputError: It is no such list.
    """

    kind = _Caption

    def _converse(self, shown: Video | Image, content: str, index: int) -> Iterator[Turn]:
        # A prime, so that neighbours differ and every request is as frequent.
        request = REQUESTS[index * 7 % len(REQUESTS)].format(media=self._media)
        yield Turn("human", (shown, request))
        yield Turn("assistant", (content,))


class ConversationFile(_SampleFile[_Conversation]):
    """Conversations about videos or images, the data of stage 2 (paper 3.2.1 and 3.2.2).

    The file is JSON: `[{"video": "clips/1.mp4", "QA": [{"q": "What is it?", "a": "A cat."}, ...]}, {"image": ...}]`.

    Args:
        file: The JSON file.
        media: Which of its items are taken.
        root: Folder from which its paths count; that of the file if None.
        num_frames: Frames that are taken of a video.

    Raises:
        SourceError: There is no such file.
        InputError: It is no such list.
    """

    kind = _Conversation

    def _converse(self, shown: Video | Image, content: list[tuple[str, str]], index: int) -> Iterator[Turn]:
        for place, (question, answer) in enumerate(content):
            yield Turn("human", (question,) if place else (shown, question))
            yield Turn("assistant", (answer,))


class Together:
    """Several sources of samples, one after another.

    Args:
        sources: In their order.
    """

    def __init__(self, sources: Sequence[Samples]) -> None:
        self._sources = sources
        self._starts = [0, *accumulate(map(len, sources))]

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, index: int, /) -> Sample:
        for source, (start, end) in zip(self._sources, pairwise(self._starts), strict=True):
            if start <= index < end:
                return source[index - start]
        raise IndexError(index)


def _read(file: str | Path, kind: type[_ItemT]) -> list[_ItemT]:
    try:
        return TypeAdapter(list[kind]).validate_python(json.loads(Path(file).read_bytes()))  # type: ignore[valid-type]
    except OSError as error:
        problem = f"this file of samples cannot be read ({error.strerror})"
        raise SourceError(file, problem, "Check the path in the config's data") from error
    except ValidationError as error:
        raise InputError(file, describe(error), "Write it as the docstring of its class shows") from error
    except ValueError as error:
        raise InputError(file, f"this is no JSON ({error})", "Mend it, or write it anew with a program") from error


def describe(error: ValidationError) -> str:
    """Say in a line what is wrong first, and where; items are counted from 0."""
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"])) or "the whole"
    return f"{place}: {first['msg'][:1].lower()}{first['msg'][1:]}"
