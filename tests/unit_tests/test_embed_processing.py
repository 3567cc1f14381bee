"""The processor: prompts with placeholder tokens, and pixel values; reading videos and images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoProcessor, PreTrainedTokenizerFast

from langchain_videochat.embed import Image, Turn, Video, VideoChatEmbedProcessor, read_image, read_video
from langchain_videochat.embed.conversation import image_size
from langchain_videochat.embed.processing_videochat import CLIP_MEAN, CLIP_STD
from langchain_videochat.errors import InputError, MediaError, SourceError
from tests.media_files import make_beeps
from tests.tiny_videochat import byte_tokenizer

CHATML = (
    "{% for message in messages %}"
    "{% if message.role == 'system' and not loop.first %}{{ raise_exception('A late system message') }}{% endif %}"
    "<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

PLACEHOLDER = "<|video|>"
PLACEHOLDERS = 96 * PLACEHOLDER

few_examples = settings(max_examples=30)


def word_tokenizer() -> PreTrainedTokenizerFast:
    """Build a tokenizer of whole words that has no BOS token."""
    words = ["<unk>", "</s>", "###", "Human", "Assistant", ":", "What", "is", "this", "?", PLACEHOLDER]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="</s>")


@pytest.fixture(scope="module")
def paper() -> VideoChatEmbedProcessor:
    return VideoChatEmbedProcessor(byte_tokenizer(), image_size=8)


@pytest.fixture(scope="module")
def chat() -> VideoChatEmbedProcessor:
    return VideoChatEmbedProcessor(byte_tokenizer(chat_template=CHATML), image_size=8, prompt_style="chat")


@pytest.fixture(scope="module", params=["paper", "chat"])
def either(request: pytest.FixtureRequest) -> VideoChatEmbedProcessor:
    return request.getfixturevalue(request.param)


def video(times: Sequence[float] = (0.6, 1.84), *, light: int = 0) -> Video:
    return Video(np.full((len(times), 12, 16, 3), light, np.uint8), tuple(times))


def image(light: int = 0) -> Image:
    return Image(np.full((12, 16, 3), light, np.uint8))


def prompts(processor: VideoChatEmbedProcessor, inputs: Any) -> list[str]:
    """Decode the encoded prompts, without padding."""
    rows = zip(inputs["input_ids"], inputs["attention_mask"], strict=True)
    return [processor.decode(ids[mask.bool()]) for ids, mask in rows]


def count_placeholders(processor: VideoChatEmbedProcessor, inputs: Any) -> int:
    return int((inputs["input_ids"] == processor.video_token_id).sum())


def test_question_about_a_video_is_the_prompt_of_the_paper(paper: VideoChatEmbedProcessor) -> None:
    inputs = paper([Turn("human", (video(), "What is she doing?"))])

    assert prompts(paper, inputs) == [
        f"<s>###Human: <Video>{PLACEHOLDERS}</Video> The video contains 2 frames sampled at 0.6, 1.8 seconds.\n"
        "###Human: What is she doing?\n"
        "###Assistant:"
    ]
    assert inputs["pixel_values"].shape == (2, 3, 8, 8)
    assert inputs["num_frames"].tolist() == [2]


CONVERSATION = [
    Turn("system", ("Be brief.",)),
    Turn("human", ("Compare this", image(), "with this", Video(video().frames), "What differs?")),
    Turn("assistant", ("The hat.",)),
    Turn("human", ("Which one?",)),
]


def test_turns_are_written_in_the_style_of_the_paper(paper: VideoChatEmbedProcessor) -> None:
    assert prompts(paper, paper(CONVERSATION)) == [
        "<s>Be brief.\n"
        "###Human: Compare this\n"
        f"###Human: <Image>{PLACEHOLDERS}</Image>\n"
        "###Human: with this\n"
        f"###Human: <Video>{PLACEHOLDERS}</Video>\n"
        "###Human: What differs?\n"
        "###Assistant: The hat.###Human: Which one?\n"
        "###Assistant:"
    ]


def test_turns_are_written_with_the_chat_template(chat: VideoChatEmbedProcessor) -> None:
    assert prompts(chat, chat(CONVERSATION)) == [
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        f"<|im_start|>user\nCompare this\n<Image>{PLACEHOLDERS}</Image>\nwith this\n"
        f"<Video>{PLACEHOLDERS}</Video>\nWhat differs?<|im_end|>\n"
        "<|im_start|>assistant\nThe hat.<|im_end|>\n"
        "<|im_start|>user\nWhich one?<|im_end|>\n"
        "<|im_start|>assistant\n"
    ]


@pytest.mark.parametrize(
    "content",
    [
        ("Look at this.", video(), "Who is it?"),
        ("Look at this.", "Who is it?", video()),
        ("Look at this.", image(), video(), "Who is it?"),
    ],
)
@pytest.mark.parametrize("style", ["videochat", "chat"])
def test_media_come_before_the_text_of_their_turn(style: Any, content: tuple[Any, ...]) -> None:
    processor = VideoChatEmbedProcessor(byte_tokenizer(chat_template=CHATML), image_size=8, prompt_style=style)
    media = [part for part in content if not isinstance(part, str)]
    for earlier in ([], CONVERSATION[:3]):
        expected = processor([*earlier, Turn("human", (*media, "Look at this.", "Who is it?"))])
        inputs = processor([*earlier, Turn("human", content)])
        assert prompts(processor, inputs) == prompts(processor, expected)
        assert inputs["num_frames"].tolist() == expected["num_frames"].tolist()


@pytest.mark.parametrize(
    "turn",
    [
        Turn("human", ("Before:", image(), "After:", video(), "What differs?")),
        Turn("assistant", ("It looks like this:", image())),
    ],
)
def test_text_between_media_and_answers_keep_their_order(paper: VideoChatEmbedProcessor, turn: Turn) -> None:
    anywhere = VideoChatEmbedProcessor(byte_tokenizer(), image_size=8, media_position="anywhere")
    assert prompts(paper, paper([turn])) == prompts(anywhere, anywhere([turn]))


def test_models_trained_on_any_order_read_it(tmp_path: Path) -> None:
    VideoChatEmbedProcessor(byte_tokenizer(), image_size=8, media_position="anywhere").save_pretrained(tmp_path)
    anywhere = VideoChatEmbedProcessor.from_pretrained(tmp_path)
    assert prompts(anywhere, anywhere([Turn("human", ("Who is it?", image()))])) == [
        f"<s>###Human: Who is it?\n###Human: <Image>{PLACEHOLDERS}</Image>\n###Assistant:"
    ]


@pytest.mark.parametrize(
    ("style", "ending"), [("paper", "###Assistant: The hat.###"), ("chat", "assistant\nThe hat.<|im_end|>\n")]
)
def test_without_generation_prompt_the_last_answer_is_ended(
    style: str, ending: str, request: pytest.FixtureRequest
) -> None:
    processor = request.getfixturevalue(style)

    inputs = processor(CONVERSATION[:3], add_generation_prompt=False)

    assert prompts(processor, inputs)[0].endswith(ending)


def test_stop_strings_depend_on_the_style(paper: VideoChatEmbedProcessor, chat: VideoChatEmbedProcessor) -> None:
    assert (paper.stop_strings, chat.stop_strings) == (["###"], [])


@pytest.mark.parametrize("template", ["$A", "<s> $A", "<s> $A </s>"])
def test_prompt_has_one_bos_token_and_no_end_token(template: str) -> None:
    processor = VideoChatEmbedProcessor(byte_tokenizer(template=template))
    prompt = "<s>###Human: Hi\n###Assistant:"

    assert prompts(processor, processor([Turn("human", ("Hi",))])) == [prompt]
    assert prompts(processor, processor(text=["###Human: Hi\n###Assistant:", prompt])) == [prompt, prompt]


def test_tokenizer_without_bos_token() -> None:
    processor = VideoChatEmbedProcessor(word_tokenizer(), num_visual_tokens=2)

    inputs = processor(text=f"###Human: {PLACEHOLDER} What is this?", videos=[image()])

    assert processor.decode(inputs["input_ids"][0]) == f"### Human : {PLACEHOLDER} {PLACEHOLDER} What is this ?"


def test_text_only_conversation_has_no_pixels(either: VideoChatEmbedProcessor) -> None:
    assert sorted(either([Turn("human", ("Hello",))])) == ["attention_mask", "input_ids"]


def test_batch_equals_single_conversations_padded_on_the_left() -> None:
    processor = VideoChatEmbedProcessor(byte_tokenizer(padding_side="right"), image_size=8)
    conversations = [
        [Turn("human", (video(light=1), "And?"))],
        [Turn("human", ("Hello",))],
        [Turn("human", (image(2), image(3), "?"))],
    ]

    together = processor(conversations)
    alone = [processor(conversation) for conversation in conversations]

    assert prompts(processor, together) == [prompts(processor, each)[0] for each in alone]
    assert (together["attention_mask"].diff(dim=1) >= 0).all()
    assert together["input_ids"][together["attention_mask"] == 0].unique().tolist() == [1]
    assert together["num_frames"].tolist() == [2, 1, 1]
    assert torch.equal(together["pixel_values"], torch.cat([alone[0]["pixel_values"], alone[2]["pixel_values"]]))


parts = st.one_of(
    st.text(max_size=5),
    st.builds(image, st.integers(1, 255)),
    st.builds(lambda frames, light: video([0.5] * frames, light=light), st.integers(1, 3), st.integers(1, 255)),
)
turns = st.builds(Turn, st.sampled_from(["human", "assistant"]), st.lists(parts, min_size=1, max_size=4).map(tuple))
batches = st.lists(st.lists(turns, min_size=1, max_size=3), min_size=1, max_size=3)


@few_examples
@given(batch=batches)
def test_visuals_have_placeholders_and_pixels_in_order(
    either: VideoChatEmbedProcessor, batch: list[list[Turn]]
) -> None:
    visuals = [part for turns in batch for turn in turns for part in turn.content if isinstance(part, Video | Image)]
    lights = [part.pixels[0, 0, 0] if isinstance(part, Image) else part.frames[0, 0, 0, 0] for part in visuals]

    inputs = either(batch)

    assert count_placeholders(either, inputs) == 96 * len(visuals)
    for row, one in zip(inputs["input_ids"], batch, strict=True):
        count = sum(not isinstance(part, str) for turn in one for part in turn.content)
        assert (row == either.video_token_id).sum() == 96 * count
    if visuals:
        assert inputs["num_frames"].sum() == len(inputs["pixel_values"])
        firsts = inputs["num_frames"].cumsum(0) - inputs["num_frames"]
        red = inputs["pixel_values"][firsts, 0, 0, 0] * CLIP_STD[0] + CLIP_MEAN[0]
        assert (red * 255).round().int().tolist() == lights


def test_prompt_as_text_equals_its_conversation(either: VideoChatEmbedProcessor) -> None:
    first, second = image(7), video(light=9)
    expected = either([Turn("human", (first, "or", second, "?"))])
    text = prompts(either, expected)[0].replace(PLACEHOLDERS, PLACEHOLDER)

    inputs = either(text=text, videos=[first, second])

    assert {name: value.tolist() for name, value in inputs.items()} == {
        name: value.tolist() for name, value in expected.items()
    }


def test_text_accepts_plain_frames(paper: VideoChatEmbedProcessor) -> None:
    frames = video(light=5).frames

    inputs = paper(text=[f"{PLACEHOLDER} first", f"{PLACEHOLDER} second"], videos=[frames, list(frames)])

    assert inputs["num_frames"].tolist() == [2, 2]
    assert torch.equal(inputs["pixel_values"][:2], inputs["pixel_values"][2:])


@pytest.mark.parametrize(("placeholders", "videos"), [(0, 1), (1, 0), (1, 2), (3, 2)])
def test_placeholders_must_match_videos(paper: VideoChatEmbedProcessor, placeholders: int, videos: int) -> None:
    with pytest.raises(InputError, match=f"{placeholders} times for {videos} videos"):
        paper(text=["And?" + placeholders * PLACEHOLDER], videos=videos * [image()])


def test_chat_template_that_drops_a_video_is_rejected() -> None:
    template = "{{ messages[-1].content }}"
    processor = VideoChatEmbedProcessor(byte_tokenizer(chat_template=template), prompt_style="chat")

    with pytest.raises(InputError, match="0 times for 1 videos"):
        processor([Turn("human", (image(),)), Turn("human", ("And?",))])


injections = ["#", "##", "###", PLACEHOLDER, "<s>", "</s>", "<|im_end|>", "<|", "video|>", "<", "\n", "Assistant:"]


@few_examples
@given(text=st.lists(st.sampled_from(injections), max_size=6).map("".join))
def test_text_cannot_inject_control_tokens(either: VideoChatEmbedProcessor, text: str) -> None:
    special = torch.tensor(either.tokenizer.all_special_ids)

    def encode(content: str) -> Any:
        return either([Turn("human", (image(), content)), Turn("assistant", (content,)), Turn("human", ("And?",))])

    plain, injected = encode("Hello"), encode(text)

    assert count_placeholders(either, injected) == 96
    assert torch.isin(injected["input_ids"], special).sum() == torch.isin(plain["input_ids"], special).sum()
    prompt = prompts(either, injected)[0]
    # "#" may precede "###", but must not form a second one.
    assert either.stop_strings == [] or prompt.count("###") == prompts(either, plain)[0].count("###")


def test_escaped_text_stays_readable(paper: VideoChatEmbedProcessor) -> None:
    inputs = paper([Turn("human", (f"What is {PLACEHOLDER}? 5 < 6, #1, \ud800 é",))])

    assert "Human: What is < |video|>? 5 < 6, #1, ? é\n" in prompts(paper, inputs)[0]


@pytest.mark.parametrize(
    "conversations",
    [[], [[]], [[Turn("human", ("Hi",))], []], [{"role": "human", "content": "Hi"}], ["Hi"], None],
    ids=str,
)
def test_malformed_conversation_is_rejected(either: VideoChatEmbedProcessor, conversations: Any) -> None:
    with pytest.raises(InputError, match="conversations: "):
        either(conversations)


def test_system_turn_must_come_first(either: VideoChatEmbedProcessor) -> None:
    with pytest.raises(InputError, match=r"system (turn|message)"):
        either([Turn("human", ("Hi",)), Turn("system", ("Be brief.",))])


@pytest.mark.parametrize(
    ("settings", "subject"),
    [
        ({"prompt_style": "telegram"}, "prompt_style"),
        ({"media_position": "last"}, "media_position"),
        ({"prompt_style": "chat"}, "prompt_style"),
        ({"tokenizer": byte_tokenizer(eos_token=None)}, "tokenizer"),
    ],
    ids=["style", "position", "no template", "no padding"],
)
def test_invalid_processor_arguments_are_rejected(settings: dict[str, Any], subject: str) -> None:
    with pytest.raises(InputError, match=subject):
        VideoChatEmbedProcessor(**{"tokenizer": byte_tokenizer(), **settings})


@pytest.mark.parametrize("loader", [VideoChatEmbedProcessor, AutoProcessor])
def test_processor_is_saved_and_loaded(tmp_path: Path, loader: Any) -> None:
    processor = VideoChatEmbedProcessor(
        byte_tokenizer(chat_template=CHATML), 16, (0.5, 0.5, 0.4), (0.2, 0.3, 0.2), 4, "<|result|>", "chat"
    )
    processor.save_pretrained(tmp_path)

    loaded = loader.from_pretrained(tmp_path)

    assert type(loaded) is VideoChatEmbedProcessor
    assert loaded.to_dict() == processor.to_dict()
    expected, inputs = processor(CONVERSATION), loaded(CONVERSATION)
    assert count_placeholders(loaded, inputs) == 2 * 4
    assert {name: value.tolist() for name, value in inputs.items()} == {
        name: value.tolist() for name, value in expected.items()
    }


def test_loading_adds_no_second_placeholder_token(tmp_path: Path) -> None:
    processor = VideoChatEmbedProcessor(byte_tokenizer())
    processor.save_pretrained(tmp_path)
    loaded = VideoChatEmbedProcessor.from_pretrained(tmp_path)

    assert len(loaded.tokenizer) == len(processor.tokenizer)
    assert loaded.video_token_id == processor.video_token_id == len(processor.tokenizer) - 1


def noise(*shape: int) -> NDArray[np.uint8]:
    """Noise of low contrast: resizing must not exceed 0 to 255, where Pillow clips intermediate values."""
    return np.random.default_rng(0).integers(64, 192, shape, dtype=np.uint8)


def resize_with_pillow(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.float64]:
    return np.asarray(PIL.Image.fromarray(pixels).resize(size, PIL.Image.Resampling.BICUBIC), dtype=np.float64)


def denormalize(pixels: torch.Tensor) -> NDArray[np.float64]:
    """Undo the normalization of a frame: [H, W, 3], from 0 to 255."""
    return ((pixels.permute(1, 2, 0).double() * torch.tensor(CLIP_STD) + torch.tensor(CLIP_MEAN)) * 255).numpy()


@pytest.mark.parametrize(
    ("height", "width", "resized", "corner"),
    [
        (90, 160, (56, 32), (0, 12)),
        (160, 91, (32, 56), (12, 0)),
        (32, 37, (37, 32), (0, 2)),
        (20, 30, (48, 32), (0, 8)),
        (32, 32, (32, 32), (0, 0)),
    ],
)
def test_frames_are_resized_like_pillow_and_centre_cropped(
    height: int, width: int, resized: tuple[int, int], corner: tuple[int, int]
) -> None:
    frames = noise(2, height, width, 3)
    processor = VideoChatEmbedProcessor(byte_tokenizer(), image_size=32)

    pixels = processor(text=PLACEHOLDER, videos=[frames])["pixel_values"]

    top, left = corner
    for frame, result in zip(frames, pixels, strict=True):
        expected = resize_with_pillow(frame, resized)[top : top + 32, left : left + 32]
        assert np.abs(denormalize(result) - expected).max() < 1.01


@pytest.mark.parametrize("shape", [(90, 160), (160, 90), (20, 30), (1, 500)])
def test_images_are_squashed(shape: tuple[int, int]) -> None:
    pixels = noise(*shape, 3)
    processor = VideoChatEmbedProcessor(byte_tokenizer(), image_size=32)

    result = processor(text=PLACEHOLDER, videos=[Image(pixels)])["pixel_values"]

    assert np.abs(denormalize(result[0]) - resize_with_pillow(pixels, (32, 32))).max() < 1.01


def test_bicubic_overshoot_is_clipped() -> None:
    edge = np.zeros((12, 12, 3), np.uint8)
    edge[:, 6:] = 255
    processor = VideoChatEmbedProcessor(byte_tokenizer(), image_size=32)

    result = processor(text=PLACEHOLDER, videos=[Image(edge)])["pixel_values"]

    assert np.abs(denormalize(result[0]) - resize_with_pillow(edge, (32, 32))).max() < 1.01


def test_pixels_have_the_requested_dtype(paper: VideoChatEmbedProcessor) -> None:
    turn = Turn("human", (video(light=100),))

    exact, rough = paper([turn]), paper([turn], device="cpu", dtype=torch.bfloat16)

    assert (exact["pixel_values"].dtype, rough["pixel_values"].dtype) == (torch.float32, torch.bfloat16)
    assert torch.allclose(exact["pixel_values"], rough["pixel_values"].float(), rtol=1e-2)
    assert rough["input_ids"].dtype == rough["num_frames"].dtype == torch.int64


def test_extreme_aspect_ratio_is_rejected(paper: VideoChatEmbedProcessor) -> None:
    with pytest.raises(InputError, match="16384 x 1"):
        paper(text=PLACEHOLDER, videos=[np.zeros((1, 1, 16384, 3), np.uint8)])


@pytest.mark.parametrize(
    ("frames", "problem"),
    [
        ([], "must not be empty"),
        (np.zeros((0, 8, 8, 3), np.uint8), "must not be empty"),
        ([np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8)], "must all have the same size"),
        (np.full((2, 8, 8, 3), np.nan), "float64"),
        (np.zeros((2, 8, 8, 3), np.float32), "float32"),
        (np.zeros((8, 8, 3), np.uint8), r"\[8, 8, 3\]"),
        (np.zeros((2, 3, 8, 8), np.uint8), r"\[2, 3, 8, 8\]"),
        (None, "object"),
    ],
    ids=["empty list", "no frames", "unequal", "nan", "floats", "one frame", "channels first", "nothing"],
)
def test_frames_must_be_uint8_of_one_size(paper: VideoChatEmbedProcessor, frames: Any, problem: str) -> None:
    with pytest.raises(InputError, match=f"^frames: .*{problem}"):
        Video(frames)
    with pytest.raises(InputError, match=problem):
        paper(text=PLACEHOLDER, videos=[frames])


@pytest.mark.parametrize("times", [(1.0,), (1.0, 2.0, 3.0), (2.0, 1.0), (0.0, np.nan), (0.0, np.inf), (-1.0, 0.0)])
def test_times_must_match_the_frames(times: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match=r"^times: "):
        Video(np.zeros((2, 8, 8, 3), np.uint8), times)


def test_image_must_be_uint8() -> None:
    with pytest.raises(InputError, match=r"^pixels: .*float64"):
        Image(np.full((8, 8, 3), np.nan))


@pytest.mark.parametrize(("role", "content"), [("user", ("Hi",)), ("human", "Hi"), ("human", ()), ("human", (1,))])
def test_turn_needs_a_role_and_parts(role: Any, content: Any) -> None:
    with pytest.raises(InputError, match=r"^(role|content): "):
        Turn(role, content)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_beeps(tmp_path_factory.mktemp("videos") / "film.mp4", seconds=6)


@pytest.mark.parametrize(
    ("wanted", "times"),
    [
        ({"num_frames": 8}, [0.36, 1.12, 1.84, 2.6, 3.36, 4.12, 4.84, 5.6]),
        ({"num_frames": 1}, [3.0]),
        ({"num_frames": 2, "start": 2.0, "end": 4.0}, [2.48, 3.48]),
        ({"num_frames": 2, "start": 5.0}, [5.24, 5.72]),
        ({"num_frames": 2, "end": 100.0}, [1.48, 4.48]),
        ({"num_frames": 8, "start": 1.0, "end": 1.1}, [1.0, 1.04, 1.08]),
    ],
)
def test_frames_are_midpoints_of_equal_segments(film: Path, wanted: dict[str, Any], times: list[float]) -> None:
    result = read_video(film, **wanted)

    assert result.times == pytest.approx(times)
    lights = (20 + np.array(times) * 25 - 16) * 255 / 219
    assert result.frames.mean((1, 2, 3)) == pytest.approx(lights, abs=3)


@pytest.mark.parametrize(
    "wanted",
    [{"num_frames": 0}, {"start": 4.0, "end": 2.0}, {"start": 7.0}, {"start": -1.0}, {"start": np.nan}],
    ids=str,
)
def test_empty_segment_is_rejected(film: Path, wanted: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        read_video(film, **wanted)


def test_missing_file_and_other_kind_of_file_are_rejected(tmp_path: Path) -> None:
    notes = tmp_path / "notes.mp4"
    notes.write_text("Buy milk")

    with pytest.raises(SourceError):
        read_video(tmp_path / "absent.mp4")
    with pytest.raises(MediaError):
        read_video(notes)


def test_image_is_rotated_upright_on_white(tmp_path: Path) -> None:
    photo = PIL.Image.new("RGB", (4, 2), "red")
    turned = PIL.Image.Exif()
    turned[0x0112] = 6
    photo.save(tmp_path / "photo.png", exif=turned)
    PIL.Image.new("RGBA", (4, 2), (0, 0, 0, 0)).save(tmp_path / "nothing.png")
    PIL.Image.new("L", (4, 2), 7).save(tmp_path / "grey.gif")

    assert read_image(tmp_path / "photo.png").pixels.tolist() == np.full((4, 2, 3), (255, 0, 0)).tolist()
    assert read_image(tmp_path / "nothing.png").pixels.min() == 255
    assert read_image((tmp_path / "grey.gif").as_uri()).pixels.shape == (2, 4, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_image_is_scaled_down_upright(tmp_path: Path, orientation: int) -> None:
    path = tmp_path / "photo.jpg"
    turned = PIL.Image.Exif()
    turned[0x0112] = orientation
    PIL.Image.fromarray(noise(30, 40, 3)).save(path, exif=turned)
    width, height = (30, 40) if orientation >= 5 else (40, 30)

    assert image_size(path) == (width, height)
    assert read_image(path).pixels.shape == read_image(path, size=100).pixels.shape == (height, width, 3)
    assert read_image(path, size=15).pixels.shape == (height // 2, width // 2, 3)


def test_orientation_that_is_no_number_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    turned = PIL.Image.Exif()
    turned[0x0112] = 6
    as_text = turned.tobytes().replace(b"\x01\x12\x00\x03", b"\x01\x12\x00\x02")  # its type
    PIL.Image.fromarray(noise(30, 40, 3)).save(path, exif=as_text)

    assert image_size(path) == (40, 30)
    assert read_image(path).pixels.shape == (30, 40, 3)


def test_unreadable_image_is_rejected(tmp_path: Path) -> None:
    whole = tmp_path / "whole.png"
    PIL.Image.fromarray(noise(64, 64, 3)).save(whole)
    names = ("half.png", "text.png", "huge.png", "deep.png", "script.eps")
    half, text, huge, deep, script = (tmp_path / name for name in names)
    half.write_bytes(whole.read_bytes()[:2000])
    text.write_text("Buy milk")
    PIL.Image.new("1", (16_385, 1)).save(huge)
    PIL.Image.new("I;16", (4, 2)).save(deep)
    PIL.Image.new("L", (4, 2)).save(script)

    for path in (half, text, huge, deep, script):
        with pytest.raises(MediaError, match=path.name):
            read_image(path)
    with pytest.raises(SourceError):
        read_image(tmp_path / "absent.png")
