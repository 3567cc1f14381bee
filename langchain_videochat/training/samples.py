"""Training samples: conversations about videos and images, read from files or provided by any other source."""

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, get_args

from pydantic import BaseModel, Field, TypeAdapter, ValidationError, model_validator

from langchain_videochat.embed import Image, Turn, Video, read_image, read_video
from langchain_videochat.embed.conversation import NUM_FRAMES
from langchain_videochat.errors import InputError, SourceError

Media = Literal["image", "video"]
"""The media type of a sample."""

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
"""Requests for a caption in stage 1: eleven, as in the paper, but with our own wording."""


@dataclass(frozen=True)
class Sample:
    """A conversation to train on. The loss is computed on the assistant's turns.

    Example:
        >>> import numpy as np
        >>> image = Image(np.zeros((4, 4, 3), np.uint8))
        >>> question, answer = Turn("human", (image, "What is it?")), Turn("assistant", ("It is black.",))
        >>> Sample((question, answer), "image", "black.png").media
        'image'
    """

    turns: tuple[Turn, ...]
    """Alternating turns of human and assistant, including the videos and images."""

    media: Media
    """Media type of the videos or images in the turns."""

    source: str
    """A file name or another identifier, for messages."""


class Samples(Protocol):
    """A map-style dataset of samples: a list, a file whose media are read on access, or a generator.

    Samples are also accessed from worker processes. The same index must return the same sample.
    """

    def __len__(self) -> int:
        """Return the number of samples."""
        ...

    def __getitem__(self, index: int, /) -> Sample:
        """Return a sample.

        Raises:
            MediaError, SourceError, InputError: The sample cannot be read; the next one is used instead.
        """
        ...


_Text = Annotated[str, Field(pattern=r"\S")]


class _Entry(BaseModel):
    image: str | None = None
    video: str | None = None

    @model_validator(mode="after")
    def _check_media(self) -> "_Entry":
        if bool(self.image) == bool(self.video):
            raise ValueError('give either "image" or "video"')
        return self


class _Caption(_Entry):
    content: _Text = Field(alias="caption")


class _Pair(BaseModel):
    q: _Text
    a: _Text


class _Conversation(_Entry):
    pairs: list[_Pair] = Field(alias="QA", min_length=1)

    @property
    def content(self) -> list[tuple[str, str]]:
        return [(pair.q, pair.a) for pair in self.pairs]


class _SampleFile(ABC):
    """The samples of one media type in a JSON file."""

    entry_type: type[_Caption | _Conversation]

    def __init__(
        self, file: str | Path, media: Media, *, root: str | Path | None = None, num_frames: int = NUM_FRAMES
    ) -> None:
        entries = _read(file, self.entry_type)
        # Plain tuples: pydantic models take several times the memory, and a file may have millions of entries.
        self._entries = [(path, entry.content) for entry in entries if (path := getattr(entry, media))]
        self._media: Media = media
        self._folder = Path(file).parent if root is None else Path(root)
        self._num_frames = num_frames

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int, /) -> Sample:
        path, content = self._entries[index]
        turns: list[Turn] = []
        for question, answer in self._pairs(content, index):
            visual = () if turns else (self._open(path),)
            turns += [Turn("human", (*visual, question)), Turn("assistant", (answer,))]
        return Sample(tuple(turns), self._media, path)

    @abstractmethod
    def _pairs(self, content: Any, index: int) -> list[tuple[str, str]]:
        """Return the questions and answers of an entry."""

    def _open(self, path: str) -> Video | Image:
        if self._media == "image":
            return read_image(self._folder / path)
        return read_video(self._folder / path, self._num_frames)


class CaptionFile(_SampleFile):
    """Captions of videos or images, the data of stage 1 (paper 3.2.1). Each follows one of several requests.

    The file is JSON: `[{"video": "clips/1.mp4", "caption": "a cat jumps"}, {"image": ...}, ...]`.

    Args:
        file: The JSON file.
        media: The media type of the entries to use.
        root: Directory that the paths in the file are relative to; the file's own directory if None.
        num_frames: Frames sampled from each video.

    Raises:
        SourceError: The file does not exist.
        InputError: The file does not have this format.
    """

    entry_type = _Caption

    def _pairs(self, content: str, index: int) -> list[tuple[str, str]]:
        # The step of 7 is coprime to 11: neighbors get different requests, and all are equally frequent.
        return [(REQUESTS[index * 7 % len(REQUESTS)].format(media=self._media), content)]


class ConversationFile(_SampleFile):
    """Conversations about videos or images, the data of stage 2 (paper 3.2.1 and 3.2.2).

    The file is JSON: `[{"video": "clips/1.mp4", "QA": [{"q": "What is it?", "a": "A cat."}, ...]}, {"image": ...}]`.
    The arguments and errors are those of `CaptionFile`.
    """

    entry_type = _Conversation

    def _pairs(self, content: list[tuple[str, str]], index: int) -> list[tuple[str, str]]:
        return content


def _read(file: str | Path, entry_type: type[_Caption | _Conversation]) -> list[_Caption | _Conversation]:
    try:
        entries = json.loads(Path(file).read_bytes())
        return TypeAdapter(list[entry_type]).validate_python(entries)  # type: ignore[valid-type]
    except OSError as error:
        problem = f"this data file cannot be read ({error.strerror})"
        raise SourceError(file, problem, "Check the path in the config's data") from error
    except ValidationError as error:
        raise InputError(file, describe_error(error), "See the docstring of its class for the format") from error
    except ValueError as error:
        raise InputError(file, f"invalid JSON ({error})", "Fix it, or generate it with a JSON library") from error


def describe_error(error: ValidationError) -> str:
    """Describe the first problem of a validation error in one line. Items are counted from 0."""
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"])) or "the file"
    return f"{place}: {first['msg'][:1].lower()}{first['msg'][1:]}"
