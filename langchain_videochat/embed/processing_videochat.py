"""The processor of VideoChat-Embed: converts conversations to token ids and pixel values."""

import re
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Literal, cast, get_args

import torch
from jinja2.exceptions import TemplateError
from torch import Tensor
from torch.nn.functional import interpolate
from torch.nn.utils.rnn import pad_sequence
from transformers import AddedToken, BatchFeature, PreTrainedTokenizerBase, ProcessorMixin

from langchain_videochat.embed.conversation import Audio, Image, Part, Turn, Video, Visual, VisualTokens
from langchain_videochat.embed.errors import no_audio_error
from langchain_videochat.errors import InputError

PromptStyle = Literal["videochat", "chat"]
MediaPosition = Literal["first", "anywhere"]

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

SEPARATOR = "###"
"""Separator of the messages in the paper's prompt, and end of an answer."""

MAX_ASPECT_RATIO = 200
"""Maximum ratio of the longer side of a frame to the shorter: beyond it, resizing a small file needs gigabytes."""

_CHAT_ROLES = {"system": "system", "human": "user", "assistant": "assistant"}


class VideoChatEmbedProcessor(ProcessorMixin):
    """Converts conversations to inputs of a VideoChat-Embed model (paper 3.2.1).

    In a prompt, a video is `<Video>`, placeholder tokens, `</Video>` and a sentence with the times of its frames; an
    image is `<Image>`, placeholder tokens, `</Image>`. These tags are plain text. There are two prompt styles:
    "videochat" is the paper's, in which each text, video or image of a human turn is a separate message:

        ###Human: <Video>...</Video> The video contains 8 frames sampled at 0.6, 1.8, ... seconds.
        ###Human: What does she do next?
        ###Assistant:

    "chat" is the tokenizer's chat template, with one message per turn and one line per part of it.

    The paper's models saw each video or image before the text of its turn. In a human turn with other orders, they are
    moved there, unless there is text between them, which tells them apart. Models trained on any order keep it.

    Text cannot inject control tokens: a space is inserted into every special token or "###" that it spells.

    Args:
        tokenizer: The language model's tokenizer. `video_token` is added to it as a special token; its end token
            becomes its padding token if it has none.
        image_size: Height and width of the model's input frames in pixels.
        image_mean: Mean of the red, green and blue channels, from 0 to 1.
        image_std: Standard deviation of each channel.
        num_visual_tokens: Number of placeholder tokens of a video or an image.
        video_token: The placeholder token.
        prompt_style: "videochat" or "chat".
        media_position: Where the model expects the videos and images of a human turn: "first" or "anywhere".

    Raises:
        InputError: The style or position is unknown, or the tokenizer lacks a chat template or a padding and end token.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        image_size: int = 224,
        image_mean: Sequence[float] = CLIP_MEAN,
        image_std: Sequence[float] = CLIP_STD,
        num_visual_tokens: int = 96,
        video_token: str = "<|video|>",  # noqa: S107 - not a password
        prompt_style: PromptStyle = "videochat",
        media_position: MediaPosition = "first",
    ) -> None:
        if prompt_style not in get_args(PromptStyle):
            raise InputError("prompt_style", f"unknown style {prompt_style!r}", 'Use "videochat" or "chat"')
        if media_position not in get_args(MediaPosition):
            raise InputError("media_position", f"unknown position {media_position!r}", 'Use "first" or "anywhere"')
        if prompt_style == "chat" and not tokenizer.chat_template:
            raise InputError("prompt_style", "the tokenizer has no chat template", 'Use "videochat"')
        if tokenizer.pad_token is None:
            if tokenizer.eos_token is None:
                raise InputError("tokenizer", "it has neither a padding nor an end token", "Set pad_token or eos_token")
            tokenizer.pad_token = tokenizer.eos_token
        tokenizer.add_tokens([AddedToken(video_token, normalized=False, special=True)], special_tokens=True)
        super().__init__(tokenizer)
        self.image_size = image_size
        self.image_mean, self.image_std = list(image_mean), list(image_std)
        self.num_visual_tokens = num_visual_tokens
        self.video_token = video_token
        self.video_token_id = tokenizer.added_tokens_encoder[video_token]
        self.prompt_style = prompt_style
        self.media_position = media_position
        special = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
        self._control_pattern = _compile_first_letters([*special, *self.stop_strings])

    @property
    def stop_strings(self) -> list[str]:
        """Strings that end an answer; none in the chat style, where a token ends it."""
        return [SEPARATOR] if self.prompt_style == "videochat" else []

    @property
    def model_input_names(self) -> list[str]:
        """Names of the model inputs that a call returns."""
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
        """Convert conversations or prompts to model inputs.

        Args:
            conversations: A conversation, or a batch of them. `VisualTokens` get placeholder tokens, but no pixels.
            text: A finished prompt or a batch of them, as an alternative to `conversations`. It contains `video_token`
                once for each of `videos`.
            videos: Videos, Images, or frames ([T, H, W, 3], uint8), in the order of their placeholders in `text`.
            device: Device for computing pixel values, and of all returned tensors.
            dtype: Dtype of the pixel values; float32 if None.
            add_generation_prompt: Start the assistant's next turn. If False, end the last turn, as training needs.

        Returns:
            `input_ids` and `attention_mask`, [B, L], padded on the left. If there are videos or images, also
            `pixel_values`, [all frames, 3, image_size, image_size], and `num_frames`, [videos and images].

        Raises:
            InputError: The placeholders don't match the videos, or a conversation or frames are malformed.
        """
        visuals: list[Video | Image | VisualTokens] = []
        if conversations is None:
            texts = [text] if isinstance(text, str) else list(text or ())
        else:
            is_single = all(isinstance(each, Turn) for each in conversations)
            batch = cast("Sequence[Sequence[Turn]]", [conversations] if is_single else conversations)
            texts = [self._write_prompt(turns, add_generation_prompt) for turns in batch]
            visuals += [part for turns in batch for turn in turns for part in turn.content if isinstance(part, Visual)]
        visuals += [each if isinstance(each, Video | Image) else Video(each) for each in videos]
        if not texts:
            raise InputError("conversations", "there are none", "Give a conversation or a text")
        ids = self._tokenize(texts, len(visuals))
        unencoded = [each for each in visuals if not isinstance(each, VisualTokens)]
        inputs = {
            "input_ids": pad_sequence(ids, True, self.tokenizer.pad_token_id, padding_side="left"),
            "attention_mask": pad_sequence([torch.ones_like(row) for row in ids], True, padding_side="left"),
        }
        if unencoded:
            pixels = [self.preprocess(each, device) for each in unencoded]
            inputs["pixel_values"] = torch.cat(pixels).to(dtype)
            inputs["num_frames"] = torch.tensor([len(frames) for frames in pixels])
        return BatchFeature(inputs).to(device or "cpu")

    def preprocess(self, visual: Video | Image, device: str | torch.device | None = None) -> Tensor:
        """Resize, centre-crop and normalize the frames of a video; resize and normalize an image.

        Returns:
            [T, 3, image_size, image_size]; T is 1 for an image.

        Raises:
            InputError: The aspect ratio of the frames is too extreme.
        """
        side = self.image_size
        if isinstance(visual, Image):
            pixels = _resize(torch.tensor(visual.pixels[None], device=device), side, side)
        else:
            height, width = _resized_shape(visual, side)
            top, left = round((height - side) / 2), round((width - side) / 2)
            resized = _resize(torch.tensor(visual.frames, device=device), height, width)
            pixels = resized[..., top : top + side, left : left + side]
        mean, std = (torch.tensor(values, device=device).view(3, 1, 1) for values in (self.image_mean, self.image_std))
        return (pixels / 255 - mean) / std

    def _write_prompt(self, turns: Sequence[Turn], add_generation_prompt: bool) -> str:
        """Write a conversation as a prompt, with one `video_token` for each video or image."""
        if not turns or not all(isinstance(turn, Turn) for turn in turns):
            raise InputError("conversations", "each must be a sequence of Turns", "Give at least one Turn")
        parts = [(turn.role, [self._write_part(part) for part in self._order(turn)]) for turn in turns]
        if self.prompt_style == "videochat":
            return _write_videochat_prompt(parts, add_generation_prompt)
        messages = [{"role": _CHAT_ROLES[role], "content": "\n".join(texts)} for role, texts in parts]
        try:
            prompt = self.tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=add_generation_prompt
            )
        except TemplateError as error:
            problem = f"the tokenizer's chat template rejects it: {error}"
            raise InputError("conversations", problem, "Alternate human and assistant turns") from error
        return str(prompt)

    def _order(self, turn: Turn) -> Sequence[Part]:
        """Return the parts of a turn in the order in which the model expects them."""
        is_text = [isinstance(part, str) for part in turn.content]
        media_groups = sum(not text for text, _ in groupby(is_text))
        if self.media_position == "anywhere" or turn.role != "human" or media_groups > 1:
            return turn.content
        return sorted(turn.content, key=lambda part: isinstance(part, str))

    def _write_part(self, part: Part) -> str:
        if isinstance(part, str):
            # Replace lone surrogates: JSON can contain them, but tokenizers cannot encode them.
            return self._control_pattern.sub(r"\g<0> ", part.encode(errors="replace").decode())
        if isinstance(part, Image) or (isinstance(part, VisualTokens) and part.kind == "image"):
            return f"<Image>{self.video_token}</Image>"
        if isinstance(part, Audio):
            raise no_audio_error()
        video = f"<Video>{self.video_token}</Video>"
        if not part.times:
            return video
        seconds = ", ".join(f"{time:.1f}" for time in part.times)
        return f"{video} The video contains {len(part.times)} frames sampled at {seconds} seconds."

    def _tokenize(self, texts: list[str], visuals: int) -> list[Tensor]:
        """Tokenize prompts, and repeat each placeholder token `num_visual_tokens` times."""
        ids = [torch.tensor(self._encode(text), dtype=torch.int64) for text in texts]
        masks = [row == self.video_token_id for row in ids]
        found = sum(int(mask.sum()) for mask in masks)
        if found != visuals:
            problem = f"{self.video_token} occurs {found} times for {visuals} videos and images"
            raise InputError("text", problem, "Write it once for each of them")
        return [
            row.repeat_interleave(torch.where(mask, self.num_visual_tokens, 1))
            for row, mask in zip(ids, masks, strict=True)
        ]

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, verbose=False).input_ids
        bos = self.tokenizer.bos_token_id
        # A chat template adds the BOS token itself, if it is needed.
        if self.prompt_style == "chat" or bos is None or ids[:1] == [bos]:
            return ids
        return [bos, *ids]


def _write_videochat_prompt(parts: Sequence[tuple[str, list[str]]], add_generation_prompt: bool) -> str:
    if any(role == "system" for role, _ in parts[1:]):
        raise InputError("conversations", "a system turn follows other turns", "Put the system turn first")
    messages = [] if parts[0][0] == "system" else [""]
    for role, texts in parts:
        if role == "human":
            messages += [f"Human: {text}\n" for text in texts]
        elif role == "assistant":
            messages.append("Assistant: " + "\n".join(texts))
        else:
            messages.append("\n".join(texts) + "\n")
    return SEPARATOR.join([*messages, "Assistant:" if add_generation_prompt else ""])


def _resized_shape(video: Video, side: int) -> tuple[int, int]:
    """Return the height and width of a video's frames after resizing the shorter side to a given length."""
    height, width = video.frames.shape[1:3]
    shorter = min(height, width)
    if max(height, width) > MAX_ASPECT_RATIO * shorter:
        problem = f"the aspect ratio of {width} x {height} pixels is too extreme"
        raise InputError("frames", problem, f"Crop them to a ratio of at most {MAX_ASPECT_RATIO}")
    return side * height // shorter, side * width // shorter


def _resize(frames: Tensor, height: int, width: int) -> Tensor:
    """Resize uint8 frames, [T, H, W, 3], and round the result to whole numbers, as Pillow does."""
    if frames.shape[1:3] == (height, width):
        return frames.permute(0, 3, 1, 2).float()
    resized = [
        interpolate(frame.permute(0, 3, 1, 2).float(), (height, width), mode="bicubic", antialias=True)
        for frame in frames.split(1)  # at most one full-size frame is in memory as floats
    ]
    return torch.cat(resized).round().clamp(0, 255)


def _compile_first_letters(texts: Sequence[str]) -> re.Pattern[str]:
    """Compile a pattern that matches the first character of each occurrence of the texts, also of overlapping ones."""
    return re.compile("|".join(f"{re.escape(text[0])}(?={re.escape(text[1:])})" for text in texts if len(text) > 1))
