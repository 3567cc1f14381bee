"""From conversations to what a VideoChat-Embed model takes: token ids with places for videos, and pixels."""

import re
from collections.abc import Sequence
from typing import Any, Literal, cast, get_args

import torch
from jinja2.exceptions import TemplateError
from torch import Tensor
from torch.nn.functional import interpolate
from torch.nn.utils.rnn import pad_sequence
from transformers import AddedToken, BatchFeature, PreTrainedTokenizerBase, ProcessorMixin

from langchain_videochat.embed.conversation import Image, Part, Turn, Video, VisualTokens
from langchain_videochat.errors import InputError

PromptStyle = Literal["videochat", "chat"]

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

SEPARATOR = "###"
"""What stands between the messages of the paper's prompt, and at the end of an answer."""

MAX_RATIO = 200
"""How many times longer one side of a frame may be than the other: beyond, a small file needs gigabytes of memory."""

_CHAT_ROLES = {"system": "system", "human": "user", "assistant": "assistant"}


class VideoChatEmbedProcessor(ProcessorMixin):
    """Makes a VideoChat-Embed model's inputs of conversations (paper 3.2.1).

    In a prompt, a video is `<Video>`, places for its visual tokens, `</Video>`, and a sentence with the times of its
    frames; an image is `<Image>`, places, `</Image>`. These tags are plain text. The style "videochat" is the paper's,
    where each text, video or image that a human gives is a message of its own:

        ###Human: <Video>...</Video> The video contains 8 frames sampled at 0.6, 1.8, ... seconds.
        ###Human: What does she do next?
        ###Assistant:

    "chat" is the tokenizer's own chat template: a message for each turn, a line for each of its parts.

    Texts in a conversation cannot steer the model: a special token or "###" that one spells gets a blank inside.

    Args:
        tokenizer: That of the language model. It is given `video_token` as a special token, and takes its end token
            for padding if it has none for that.
        image_size: Side in pixels of what the model sees.
        image_mean: Mean of red, green and blue, from 0 to 1.
        image_std: Standard deviation of each.
        num_visual_tokens: Places that a video or an image takes in the prompt.
        video_token: The token that holds such a place.
        prompt_style: How conversations are written, "videochat" or "chat".

    Raises:
        InputError: There is no such style, or the tokenizer lacks what is needed.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        image_size: int = 224,
        image_mean: Sequence[float] = CLIP_MEAN,
        image_std: Sequence[float] = CLIP_STD,
        num_visual_tokens: int = 96,
        video_token: str = "<|video|>",  # noqa: S107 - no password
        prompt_style: PromptStyle = "videochat",
    ) -> None:
        if prompt_style not in get_args(PromptStyle):
            raise InputError("prompt_style", f"{prompt_style!r} is none", 'Take "videochat" or "chat"')
        if prompt_style == "chat" and not tokenizer.chat_template:
            raise InputError("prompt_style", "the tokenizer has no chat template", 'Take "videochat"')
        if tokenizer.pad_token is None:
            if tokenizer.eos_token is None:
                raise InputError("tokenizer", "it has neither a token for padding nor one for the end", "Name one")
            tokenizer.pad_token = tokenizer.eos_token
        tokenizer.add_tokens([AddedToken(video_token, normalized=False, special=True)], special_tokens=True)
        super().__init__(tokenizer)
        self.image_size = image_size
        self.image_mean, self.image_std = list(image_mean), list(image_std)
        self.num_visual_tokens = num_visual_tokens
        self.video_token = video_token
        self.video_token_id = tokenizer.added_tokens_encoder[video_token]
        self.prompt_style = prompt_style
        special = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
        self._steering = _first_letters([*special, *self.stop_strings])

    @property
    def stop_strings(self) -> list[str]:
        """Texts at which an answer ends; none in the chat style, where a token ends it."""
        return [SEPARATOR] if self.prompt_style == "videochat" else []

    @property
    def model_input_names(self) -> list[str]:
        """Names of what a call gives."""
        return ["input_ids", "attention_mask", "pixel_values", "num_frames"]

    def __call__(
        self,
        conversations: Sequence[Turn] | Sequence[Sequence[Turn]] | None = None,
        *,
        text: str | Sequence[str] | None = None,
        videos: Sequence[Any] = (),
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
        add_generation_prompt: bool = True,
    ) -> BatchFeature:
        """Make the model's inputs.

        Args:
            conversations: One, or a batch of them. What is shown as `VisualTokens` gets its places, and no pixels.
            text: Instead, a prompt as it is, or a batch of them; `video_token` stands once for each of `videos`.
            videos: Videos, Images, or frames ([T, H, W, 3], uint8), in the order in which the texts show them.
            device: Where pixels are computed and all inputs lie.
            dtype: Type of the pixel values; float32 if None.
            add_generation_prompt: Whether the assistant's next turn is opened; if not, the last one is closed, as
                training needs it.

        Returns:
            `input_ids` and `attention_mask`, [B, L], padded on the left; and where there is something to see,
            `pixel_values`, [all frames, 3, image_size, image_size], and `num_frames`, [videos and images].

        Raises:
            InputError: A text shows more videos than there are, or fewer; a conversation or frames are not as said.
        """
        shown: list[Video | Image | VisualTokens] = []
        if conversations is None:
            texts = [text] if isinstance(text, str) else list(text or ())
        else:
            one = all(isinstance(each, Turn) for each in conversations)
            batch = cast("Sequence[Sequence[Turn]]", [conversations] if one else conversations)
            texts = [self._write(turns, add_generation_prompt) for turns in batch]
            shown += [part for turns in batch for turn in turns for part in turn.content if not isinstance(part, str)]
        shown += [each if isinstance(each, Video | Image) else Video(each) for each in videos]
        if not texts:
            raise InputError("conversations", "there is none", "Give a conversation, or a text")
        ids = self._token_ids(texts, len(shown))
        unseen = [each for each in shown if not isinstance(each, VisualTokens)]
        inputs = {
            "input_ids": pad_sequence(ids, True, self.tokenizer.pad_token_id, padding_side="left"),
            "attention_mask": pad_sequence([torch.ones_like(row) for row in ids], True, padding_side="left"),
        }
        if unseen:
            pixels = [self.pixels(each, device) for each in unseen]
            inputs["pixel_values"] = torch.cat(pixels).to(dtype)
            inputs["num_frames"] = torch.tensor([len(frames) for frames in pixels])
        return BatchFeature(inputs).to(device or "cpu")

    def pixels(self, shown: Video | Image, device: str | torch.device | None = None) -> Tensor:
        """Bring pictures to the size that the model sees and normalise them.

        Returns:
            [T, 3, image_size, image_size].

        Raises:
            InputError: They are too long and narrow.
        """
        side = self.image_size
        if isinstance(shown, Image):
            pixels = _resize(torch.tensor(shown.pixels[None], device=device), side, side)
        else:
            rows, columns = _shorter_side(shown, side)
            top, left = round((rows - side) / 2), round((columns - side) / 2)
            resized = _resize(torch.tensor(shown.frames, device=device), rows, columns)
            pixels = resized[..., top : top + side, left : left + side]
        mean, std = (torch.tensor(values, device=device).view(3, 1, 1) for values in (self.image_mean, self.image_std))
        return (pixels / 255 - mean) / std

    def _write(self, turns: Sequence[Turn], add_generation_prompt: bool) -> str:
        """Write a conversation as a prompt, with one `video_token` for each video or image."""
        if not turns or not all(isinstance(turn, Turn) for turn in turns):
            raise InputError("conversations", "one of them is not made of Turns", "Give one Turn or more")
        parts = [(turn.role, [self._write_part(part) for part in turn.content]) for turn in turns]
        if self.prompt_style == "videochat":
            return _write_as_paper(parts, add_generation_prompt)
        messages = [{"role": _CHAT_ROLES[role], "content": "\n".join(texts)} for role, texts in parts]
        try:
            prompt = self.tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=add_generation_prompt
            )
        except TemplateError as error:
            problem = f"the tokenizer's chat template refuses it: {error}"
            raise InputError("conversations", problem, "Let human and assistant take turns") from error
        return str(prompt)

    def _write_part(self, part: Part) -> str:
        if isinstance(part, str):
            # A lone surrogate, which JSON can spell, is no text.
            return self._steering.sub(r"\g<0> ", part.encode(errors="replace").decode())
        if isinstance(part, Image) or (isinstance(part, VisualTokens) and part.kind == "image"):
            return f"<Image>{self.video_token}</Image>"
        video = f"<Video>{self.video_token}</Video>"
        if not part.times:
            return video
        seconds = ", ".join(f"{time:.1f}" for time in part.times)
        return f"{video} The video contains {len(part.times)} frames sampled at {seconds} seconds."

    def _token_ids(self, texts: list[str], videos: int) -> list[Tensor]:
        """Encode prompts, and widen each place of a video to as many tokens as it takes."""
        ids = [torch.tensor(self._encode(text), dtype=torch.int64) for text in texts]
        places = [row == self.video_token_id for row in ids]
        found = sum(int(place.sum()) for place in places)
        if found != videos:
            problem = f"{self.video_token} stands there {found} times for {videos} videos and images"
            raise InputError("text", problem, "Write it once for each, where it is shown")
        return [
            row.repeat_interleave(torch.where(place, self.num_visual_tokens, 1))
            for row, place in zip(ids, places, strict=True)
        ]

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, verbose=False).input_ids
        begin = self.tokenizer.bos_token_id
        # A chat template writes it itself, if at all.
        if self.prompt_style == "chat" or begin is None or ids[:1] == [begin]:
            return ids
        return [begin, *ids]


def _write_as_paper(parts: Sequence[tuple[str, list[str]]], add_generation_prompt: bool) -> str:
    if any(role == "system" for role, _ in parts[1:]):
        raise InputError("conversations", "a system turn comes after others", "Let one begin the conversation")
    messages = [] if parts[0][0] == "system" else [""]
    for role, texts in parts:
        if role == "human":
            messages += [f"Human: {text}\n" for text in texts]
        elif role == "assistant":
            messages.append("Assistant: " + "\n".join(texts))
        else:
            messages.append("\n".join(texts) + "\n")
    return SEPARATOR.join([*messages, "Assistant:" if add_generation_prompt else ""])


def _shorter_side(video: Video, side: int) -> tuple[int, int]:
    """Tell rows and columns of a video's frames when the shorter of them has a given length."""
    height, width = video.frames.shape[1:3]
    shorter = min(height, width)
    if max(height, width) > MAX_RATIO * shorter:
        raise InputError("frames", f"{width} x {height} pixels are too long and narrow", "Cut out what matters")
    return side * height // shorter, side * width // shorter


def _resize(frames: Tensor, rows: int, columns: int) -> Tensor:
    """Resize bytes, [T, H, W, 3], as Pillow does, whose results are bytes too."""
    if frames.shape[1:3] == (rows, columns):
        return frames.permute(0, 3, 1, 2).float()
    resized = [
        interpolate(frame.permute(0, 3, 1, 2).float(), (rows, columns), mode="bicubic", antialias=True)
        for frame in frames.split(1)  # only one is in memory as large floats
    ]
    return torch.cat(resized).round().clamp(0, 255)


def _first_letters(texts: Sequence[str]) -> re.Pattern[str]:
    """Make a pattern that finds the first letter of each of some texts, also where they overlap."""
    return re.compile("|".join(f"{re.escape(text[0])}(?={re.escape(text[1:])})" for text in texts if len(text) > 1))
