"""Sound in the prompts of models that take it."""

import base64
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from langchain_videochat import VideoChatEmbed
from langchain_videochat.embed.conversation import Audio, read_audio
from langchain_videochat.errors import InputError, SourceError
from langchain_videochat.models.hub import TINY
from langchain_videochat.models.weights import keep_models
from langchain_videochat.utils.interval import Interval
from tests.media_files import make_beeps, run_ffmpeg
from tests.tiny_vlms import BUILDERS

hf: Any = transformers

RATE = 16_000
TOKENS = 8

NAMES = ["gemma4", "qwen2_5_omni"]

Load = Callable[..., VideoChatEmbed]


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Load]:
    """Return a chat model by name; the models are loaded once."""
    root = tmp_path_factory.mktemp("models")
    for name in NAMES:
        BUILDERS[name](root / name)
    with keep_models():
        defaults: dict[str, Any] = {"max_tokens": TOKENS, "num_frames": 4}
        yield lambda name, **fields: VideoChatEmbed(model=str(root / name), **(defaults | fields))


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Videos with the same frames: with beeps, with noise and without sound."""
    folder = tmp_path_factory.mktemp("films")
    loud = make_beeps(folder / "loud.mp4", seconds=4)
    noisy = make_beeps(folder / "noisy.mp4", seconds=4, audio_filter="aeval=random(0)-0.5")
    mute = folder / "mute.mp4"
    run_ffmpeg("-i", str(loud), "-c:v", "copy", "-an", str(mute))
    return [loud, noisy, mute]


@pytest.fixture(scope="module")
def beeps(films: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sounds") / "beeps.wav"
    run_ffmpeg("-i", str(films[0]), "-vn", str(path))
    return path


def about(*blocks: Any, question: str = "What is it?") -> list[BaseMessage]:
    return [HumanMessage([*blocks, {"type": "text", "text": question}])]


def video(path: Path, **extras: Any) -> dict[str, Any]:
    return {"type": "video", "url": path.as_uri(), "extras": extras}


def audio(path: Path, **extras: Any) -> dict[str, Any]:
    return {"type": "audio", "url": path.as_uri(), "extras": extras}


def audio_tokens(answer: AIMessage) -> int:
    assert answer.usage_metadata is not None
    return answer.usage_metadata["input_token_details"].get("audio", 0)


@pytest.mark.parametrize("name", NAMES)
def test_a_sound_gets_the_answer_of_transformers(load: Load, beeps: Path, name: str) -> None:
    llm = load(name)
    config = hf.AutoConfig.from_pretrained(llm.model)
    config = getattr(config, "thinker_config", config)
    model = hf.AutoModelForMultimodalLM.from_pretrained(llm.model, config=config, dtype=torch.float32)
    processor = hf.AutoProcessor.from_pretrained(llm.model)
    content = [
        {"type": "text", "text": "Audio from 0.0 to 4.0 seconds:"},
        {"type": "audio"},
        {"type": "text", "text": "What is it?"},
    ]
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    samples = read_audio(beeps, Interval(), RATE).samples
    options = {"return_tensors": "pt", "add_special_tokens": False, "sampling_rate": RATE}
    inputs = processor(text=[text], audio=[samples], **options)
    tokens = model.generate(**inputs, do_sample=False, max_new_tokens=TOKENS)[0, inputs["input_ids"].shape[1] :]

    expected = processor.tokenizer.decode(tokens, skip_special_tokens=True).lstrip()
    assert llm.invoke(about(audio(beeps))).text == expected


@pytest.mark.parametrize("name", NAMES)
def test_the_sound_of_a_video_is_part_of_the_prompt(load: Load, films: list[Path], name: str) -> None:
    llm = load(name)
    loud, mute = (llm.invoke(about(video(film))) for film in (films[0], films[2]))
    assert 90 <= audio_tokens(loud) <= 110  # 25 a second
    assert audio_tokens(mute) == 0
    assert loud.usage_metadata is not None
    counted = llm.get_num_tokens_from_messages(about(video(films[0])))
    assert abs(counted - loud.usage_metadata["input_tokens"]) <= 2

    part = llm.invoke(about(video(films[0], start=1, end=3)))
    assert 40 <= audio_tokens(part) <= 60
    assert load(name, max_audio_seconds=0).invoke(about(video(films[0]))).usage_metadata == mute.usage_metadata


@pytest.mark.parametrize("name", NAMES)
def test_different_sounds_get_different_answers(load: Load, films: list[Path], name: str) -> None:
    llm = load(name, temperature=1, seed=0, max_tokens=32)
    loud, noisy = (llm.invoke(about(audio(film))) for film in films[:2])
    assert loud.text != noisy.text
    assert loud.usage_metadata == noisy.usage_metadata


@pytest.mark.parametrize("name", NAMES)
def test_further_questions_and_batches_get_the_same_answers(load: Load, films: list[Path], name: str) -> None:
    prompts = [about(video(film), question=question) for film in films for question in ("What?", "Who?")]
    alone = [load(name, seed=number).invoke(prompt).text for number, prompt in enumerate(prompts)]
    llm = load(name)
    assert [answer.text for answer in llm.batch([*prompts])] == alone
    assert ["".join(chunk.text for chunk in llm.stream(prompt)) for prompt in reversed(prompts)] == alone[::-1]


@pytest.mark.parametrize("name", NAMES)
def test_segments_have_their_own_sound(load: Load, films: list[Path], name: str) -> None:
    options: dict[str, Any] = {"long_video": "segments", "segment_seconds": 2, "max_video_tokens": 10_000}
    llm = load(name, **options, max_audio_seconds=2)
    answer = llm.invoke(about(video(films[0])))
    assert 90 <= audio_tokens(answer) <= 110
    assert answer.usage_metadata is not None
    assert abs(llm.get_num_tokens_from_messages(about(video(films[0]))) - answer.usage_metadata["input_tokens"]) <= 4


def test_sound_of_a_longer_video_is_left_out_with_a_warning(
    load: Load, films: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        answer = load("gemma4", max_audio_seconds=3).invoke(about(video(films[0])))
        assert audio_tokens(answer) == 0
        assert "The audio is left out, because 4.0 s is longer than max_audio_seconds: raise it, or" in caplog.text
        caplog.clear()
        load("gemma4", max_audio_seconds=0).invoke(about(video(films[0])))
        assert not caplog.records


@pytest.mark.parametrize("name", NAMES)
def test_a_long_sound_is_split(load: Load, tmp_path: Path, name: str) -> None:
    path = tmp_path / "long.wav"
    run_ffmpeg("-f", "lavfi", "-i", "anoisesrc=d=70:r=16000", str(path))
    llm = load(name)
    answer = llm.invoke(about(audio(path)))
    assert 1740 <= audio_tokens(answer) <= 1760
    assert answer.usage_metadata is not None
    assert llm.get_num_tokens_from_messages(about(audio(path))) == answer.usage_metadata["input_tokens"]
    assert 240 <= audio_tokens(llm.invoke(about(audio(path, start="00:05", end=15)))) <= 260


def test_merged_segments_have_no_sound(load: Load, films: list[Path], caplog: pytest.LogCaptureFixture) -> None:
    options: dict[str, Any] = {"long_video": "segments", "segment_seconds": 1, "max_video_tokens": 600}
    llm = load("qwen2_5_omni", **options)
    with caplog.at_level(logging.WARNING):
        answer = llm.invoke(about(video(films[0])))
    assert len(answer.response_metadata["sampled_times"]) == 4
    assert audio_tokens(answer) == 0
    assert "The audio is left out, because segments are merged" in caplog.text
    assert answer.usage_metadata is not None
    assert abs(llm.get_num_tokens_from_messages(about(video(films[0]))) - answer.usage_metadata["input_tokens"]) <= 8
    parts = load("qwen2_5_omni", **options, overflow="map_reduce").invoke(about(video(films[0])))
    assert audio_tokens(parts) > 80


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("extras", [{"start": 3.99999}, {"start": 1, "end": 1.01}, {"start": 3.9}])
def test_very_short_sounds(load: Load, beeps: Path, name: str, extras: dict[str, Any]) -> None:
    llm = load(name)
    answer = llm.invoke(about(audio(beeps, **extras)))
    assert 5 <= audio_tokens(answer) <= 15
    assert answer.usage_metadata is not None
    assert llm.get_num_tokens_from_messages(about(audio(beeps, **extras))) == answer.usage_metadata["input_tokens"]


def test_sounds_that_cannot_be_read_are_refused(load: Load, beeps: Path, tmp_path: Path) -> None:
    llm, long = load("gemma4"), tmp_path / "long.flac"
    run_ffmpeg("-f", "lavfi", "-i", "anullsrc=r=8000:cl=mono", "-t", "3700", str(long))
    for messages, problem in [
        (about(audio(beeps, start=4.5)), "start: must be before the end"),
        (about(audio(long)), "audio: lasts 3,700 seconds, more than the limit of 3,600"),
    ]:
        for call in (llm.invoke, llm.get_num_tokens_from_messages):
            with pytest.raises(InputError, match=problem):
                call(messages)
    missing = about(audio(tmp_path / "missing.wav"))
    assert 1450 < llm.get_num_tokens_from_messages(missing) < 1600
    with pytest.raises(SourceError):
        llm.invoke(missing)


def test_samples_that_are_no_numbers_are_silent(load: Load, tmp_path: Path) -> None:
    path = tmp_path / "nan.wav"
    run_ffmpeg("-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono", "-t", "1", "-c:a", "pcm_f32le", str(path))
    content = path.read_bytes()
    path.write_bytes(content[:-400] + np.full(100, np.nan, np.float32).tobytes())
    assert np.isfinite(read_audio(path, Interval(), RATE).samples).all()
    assert load("gemma4", temperature=1).invoke(about(audio(path)))


def test_a_sound_may_be_data(load: Load, beeps: Path) -> None:
    llm, data = load("gemma4"), base64.b64encode(beeps.read_bytes()).decode()
    blocks = [
        audio(beeps),
        {"type": "audio", "audio": str(beeps)},
        {"type": "audio_url", "audio_url": {"url": f"data:audio/wav;codecs=a,b;base64,{data}"}},
        {"type": "audio", "base64": data, "mime_type": "audio/wav"},
        {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}},
        {"type": "file", "base64": data, "mime_type": "audio/wav"},
    ]
    assert len({llm.invoke(about(block)).text for block in blocks}) == 1


def test_a_sound_of_an_unknown_format_leaves_the_frames(
    load: Load, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    film = make_beeps(tmp_path / "film.mkv", seconds=4)
    film.write_bytes(film.read_bytes().replace(b"A_AAC", b"A_NEW"))
    with caplog.at_level(logging.WARNING):
        answer = load("gemma4").invoke(about(video(film)))
    assert answer.text
    assert audio_tokens(answer) == 0
    assert "The audio is left out" in caplog.text


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"type": "audio", "url": "talk.wav"}, "must be an http:, https:, file: or base64 data: URL"),
        ({"type": "audio", "url": "file:///talk.wav", "extras": {"fps": 1}}, "unknown key fps"),
        ({"type": "input_audio", "input_audio": {"data": "AAAA"}}, "must have data and format"),
    ],
)
def test_invalid_blocks_are_refused(load: Load, block: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load("gemma4").invoke(about(block))


def test_a_model_without_sound_refuses_it(beeps: Path) -> None:
    llm = VideoChatEmbed(model=TINY)
    for call in (llm.invoke, llm.get_num_tokens_from_messages):
        with pytest.raises(InputError, match="the model takes no audio"):
            call(about(audio(beeps)))
    assert not (llm.profile or {}).get("audio_inputs")


@pytest.mark.parametrize("name", NAMES)
def test_the_profile_says_that_a_model_takes_sound(load: Load, name: str) -> None:
    profile = load(name).profile or {}
    assert profile.get("audio_inputs")
    assert profile.get("max_input_tokens") == 32_767


def test_parts_of_a_sound_follow_each_other() -> None:
    audio = Audio(np.arange(10, dtype=np.float32), sampling_rate=2, start=3.0)
    parts = audio.split(4)
    assert [(part.start, part.end) for part in parts] == [(3.0, 5.0), (5.0, 6.5), (6.5, 8.0)]
    assert np.concatenate([part.samples for part in parts]).tolist() == audio.samples.tolist()
