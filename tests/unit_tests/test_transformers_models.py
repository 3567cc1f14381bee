"""Models of transformers behind the chat model: real architectures and processors with random weights."""

import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import numpy as np
import PIL.Image
import pytest
import torch
import transformers
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from pydantic import BaseModel
from transformers.video_utils import VideoMetadata
from typer.testing import CliRunner

from langchain_videochat import VideoChatEmbed
from langchain_videochat.cli import app
from langchain_videochat.embed import PromptTooLongError, read_video
from langchain_videochat.embed.conversation import Turn
from langchain_videochat.embed.media_refs import MediaRef
from langchain_videochat.embed.visual_cache import MediaFormat
from langchain_videochat.errors import ModelError
from langchain_videochat.media.geometry import displayed_size
from langchain_videochat.models.weights import keep_models
from langchain_videochat.utils.interval import Interval
from tests.numbered_video import make_numbered, regular
from tests.tiny_vlms import BUILDERS, custom_vlm, qwen3_vl
from tests.trained_videochat import Lesson, teach_vlm

hf: Any = transformers

NAMES = sorted(BUILDERS)
TOKENS = 12
FRAMES = 4

WRITE_TIMES = {"gemma4", "qwen3_vl", "smolvlm", "video_llama_3"}
"""Models whose processors write the times of frames."""

TAKE_PICTURES = {"idefics3"}
"""Models whose processors take no videos."""

Load = Callable[..., VideoChatEmbed]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("models")

    def build(name: str) -> Path:
        if not (root / name).exists():
            BUILDERS[name](root / name)
        return root / name

    return build


@pytest.fixture(scope="module")
def load(folders: Callable[[str], Path]) -> Iterator[Load]:
    """Return a chat model by name; the models are loaded once."""
    with keep_models():
        defaults: dict[str, Any] = {"max_tokens": TOKENS, "num_frames": FRAMES}
        yield lambda name, **fields: VideoChatEmbed(model=str(folders(name)), **(defaults | fields))


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("films")
    return [make_numbered(folder / f"{count}.mp4", times=regular(count)) for count in (100, 50)]


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "photo.png"
    PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)).save(path)
    return path


def ask(*media: Path, question: str = "What is it?") -> list[BaseMessage]:
    kinds = {".mp4": "video", ".png": "image"}
    blocks = [{"type": kinds[path.suffix], "url": path.as_uri()} for path in media]
    return [HumanMessage([*blocks, {"type": "text", "text": question}])]


def video_tokens(answer: AIMessage) -> int:
    assert answer.usage_metadata is not None
    details: dict[str, Any] = dict(answer.usage_metadata["input_token_details"])
    return int(details["video"])


def reference(
    folder: Path, film: Path, question: str, *, auto_class: str = "AutoModelForMultimodalLM", **options: Any
) -> str:
    """Return the answer of transformers alone."""
    config = hf.AutoConfig.from_pretrained(folder, **options)
    config = getattr(config, "thinker_config", config)
    model = getattr(hf, auto_class).from_pretrained(folder, config=config, dtype=torch.float32, **options)
    processor = hf.AutoProcessor.from_pretrained(folder, **options)
    video = read_video(film, FRAMES)
    frames, seconds = list(video.frames), [f"{time:.1f}" for time in video.times]
    if folder.name in TAKE_PICTURES:
        items = [item for time in seconds for item in ({"type": "text", "text": f"Frame at {time} seconds:"}, IMAGE)]
        last = question
        media: dict[str, Any] = {"images": [frames]}
    else:
        sentence = f"The video contains {FRAMES} frames sampled at {', '.join(seconds)} seconds."
        items = [{"type": "video"}]
        last = question if folder.name in WRITE_TIMES else f"{sentence}\n{question}"
        indices = [round(1000 * time) for time in video.times]
        step = (indices[-1] - indices[0]) / (FRAMES - 1)
        metadata = VideoMetadata(round(step * FRAMES), 1000.0, frames_indices=indices, duration=step * FRAMES / 1000)
        metadata.height, metadata.width = video.frames.shape[1:3]
        media = {"videos": [frames], "video_metadata": [metadata], "do_sample_frames": False, "fps": 1000 / step}
    content = [*items, {"type": "text", "text": last}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    inputs = processor(text=[text], return_tensors="pt", add_special_tokens=False, **media)
    tokens = model.generate(**inputs, do_sample=False, max_new_tokens=TOKENS)[0, inputs["input_ids"].shape[1] :]
    return str(processor.tokenizer.decode(tokens, skip_special_tokens=True)).lstrip()


IMAGE = {"type": "image"}


@pytest.mark.parametrize("name", NAMES)
def test_answers_are_those_of_transformers(
    load: Load, folders: Callable[[str], Path], films: list[Path], name: str
) -> None:
    expected = [reference(folders(name), film, "What is it?") for film in films]
    llm = load(name)
    assert [llm.invoke(ask(film)).text for film in films] == expected
    assert "".join(chunk.text for chunk in llm.stream(ask(films[0]))) == expected[0]
    assert [answer.text for answer in llm.batch([ask(film) for film in (*films, *films)])] == expected * 2


@pytest.mark.parametrize("name", NAMES)
def test_several_videos_and_a_picture_in_a_question(load: Load, films: list[Path], photo: Path, name: str) -> None:
    answer, one = (load(name).invoke(ask(*media)) for media in ((*films, photo), films[:1]))
    assert [len(times) for times in answer.response_metadata["sampled_times"]] == [FRAMES, FRAMES]
    assert video_tokens(answer) > video_tokens(one) > 0


@pytest.mark.parametrize("name", NAMES)
def test_a_further_question_continues_the_cache(load: Load, films: list[Path], name: str) -> None:
    llm = load(name)
    questions = [ask(films[0], question=question) for question in ("What is it?", "What is red?", "Who?")]
    expected = [llm.invoke(question).text for question in (*reversed(questions), ask(films[1]))]
    passes = count_vision_passes(llm)
    assert [llm.invoke(question).text for question in (*reversed(questions), ask(films[1]))] == expected
    assert passes() <= 2  # one for each video


def count_vision_passes(llm: VideoChatEmbed) -> Callable[[], int]:
    llm.load()
    assert llm._loaded is not None
    passes: list[int] = []
    names = ("visual", "vision_tower", "vision_model")
    model = llm._loaded.model.model
    tower = next(getattr(model, name) for name in names if hasattr(model, name))
    tower.register_forward_hook(lambda *_: passes.append(1))
    return lambda: len(passes)


class Scene(BaseModel):
    people: int
    places: list[str]


@pytest.mark.parametrize("name", NAMES)
def test_structured_output_is_always_valid(load: Load, films: list[Path], name: str) -> None:
    llm = load(name, max_tokens=60)
    for film in films:
        scene = llm.with_structured_output(Scene).invoke(ask(film))
        assert isinstance(scene, Scene)


@pytest.mark.parametrize("name", ["qwen3_vl", "idefics3"])
def test_many_threads_get_the_answers_of_one(load: Load, films: list[Path], name: str) -> None:
    llm = load(name)
    questions = [ask(films[number % 2], question=f"What is {number}?") for number in range(20)]
    expected = [llm.invoke(question).text for question in questions]
    with ThreadPoolExecutor(20) as pool:
        assert [answer.text for answer in pool.map(llm.invoke, questions)] == expected


@pytest.mark.parametrize("name", NAMES)
def test_pictures_and_videos_are_asked_about_at_once(load: Load, films: list[Path], photo: Path, name: str) -> None:
    llm = load(name)
    questions: list[LanguageModelInput] = [ask(photo), ask(films[0]), ask(question="Hello"), ask(films[1], photo)] * 2
    expected = [llm.invoke(question).text for question in questions]
    assert [answer.text for answer in llm.batch(questions)] == expected


def test_a_further_question_about_another_picture_is_not_mistaken(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm = load("qwen3_vl")
    paths = [tmp_path / f"{seed}.png" for seed in range(2)]
    for seed, path in enumerate(paths):
        noise = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), np.uint8)
        PIL.Image.fromarray(noise).save(path)
    expected = [llm.invoke(ask(path)).text for path in paths]
    assert len(set(expected)) == len(paths)
    llm.load()
    backend: Any = llm._loaded
    monkeypatch.setattr(backend._writer, "_media_tokens", set())  # as for processors that do not have them
    assert [llm.invoke(ask(path)).text for path in (*paths, *paths)] == expected * 2


def test_a_program_may_end_in_the_middle_of_an_answer(folders: Callable[[str], Path]) -> None:
    program = f"""
from langchain_videochat import VideoChatEmbed
from langchain_videochat.cli import app
stream = VideoChatEmbed(model={str(folders("qwen3_vl"))!r}, max_tokens=30_000).stream("Hello")
print(next(stream).text is not None)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100, check=False)
    assert (ended.returncode, ended.stdout) == (0, "True\n")


def test_answers_of_a_batch_have_their_own_settings(load: Load, films: list[Path]) -> None:
    llm = load("qwen3_vl")
    settings: list[dict[str, Any]] = [
        {"max_tokens": 3},
        {"temperature": 2.0, "seed": 5},
        {"stop": ["D"]},
        {"repetition_penalty": 5.0},
    ]
    expected = [llm.invoke(ask(films[0]), **one) for one in settings]
    with ThreadPoolExecutor(len(settings)) as pool:
        answers = list(pool.map(lambda one: llm.invoke(ask(films[0]), **one), settings))
    assert [answer.text for answer in answers] == [answer.text for answer in expected]
    assert len({answer.text for answer in answers}) == len(settings)
    assert "D" not in answers[2].text


def test_a_stream_can_be_closed(load: Load, films: list[Path]) -> None:
    llm = load("qwen3_vl", max_tokens=20_000)
    stream = llm.stream(ask(films[0]))
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    answer = llm.invoke(ask(films[0]), max_tokens=3)
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] == 3
    assert not [thread for thread in threading.enumerate() if thread.name == "videochat-generate" and not ended(thread)]


def ended(thread: threading.Thread) -> bool:
    thread.join(10)
    return not thread.is_alive()


@pytest.mark.parametrize("name", NAMES)
def test_tokens_are_counted_without_decoding(load: Load, films: list[Path], photo: Path, name: str) -> None:
    llm, messages = load(name), ask(*films, photo)
    counted = llm.get_num_tokens_from_messages(messages)
    usage = llm.invoke(messages).usage_metadata
    assert usage is not None
    assert counted >= usage["input_tokens"] - 2 * FRAMES  # the last digits of times
    if name != "video_llama_3":  # leaves out what does not change
        assert counted <= usage["input_tokens"] + 2 * FRAMES


@pytest.mark.parametrize("overflow", ["merge", "map_reduce"])
@pytest.mark.parametrize("name", ["qwen2_5_vl", "internvl", "idefics3"])
def test_long_videos_stay_within_the_budget(load: Load, films: list[Path], name: str, overflow: str) -> None:
    options: dict[str, Any] = {"long_video": "segments", "segment_seconds": 1.0, "overflow": overflow}
    budget = video_tokens(load(name, **options).invoke(ask(films[1])))
    answer = load(name, **options, max_video_tokens=budget).invoke(ask(films[0]))
    assert len(answer.response_metadata["sampled_times"]) == 4
    if overflow == "merge":
        assert video_tokens(answer) <= budget


def write_large(path: Path, width: int, height: int) -> Path:
    """Write a video or a picture that changes everywhere."""
    pictures = np.random.default_rng(0).integers(0, 256, (10, height, width, 3), np.uint8)
    if path.suffix == ".png":
        PIL.Image.fromarray(pictures[0]).save(path)
        return path
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".png"])
@pytest.mark.parametrize("size", [(1280, 720), (360, 1280), (1600, 200)])
def test_pictures_are_scaled_to_fit_the_budget(load: Load, tmp_path: Path, size: tuple[int, int], suffix: str) -> None:
    messages = ask(write_large(tmp_path / f"large{suffix}", *size))
    counts = []
    for budget in (200, 800, 3000):
        llm = load("qwen3_vl", max_video_tokens=budget)
        answer = llm.invoke(messages)
        counts.append(video_tokens(answer))
        assert counts[-1] <= budget
        assert answer.usage_metadata is not None
        assert abs(llm.get_num_tokens_from_messages(messages) - answer.usage_metadata["input_tokens"]) <= 2
    assert counts[0] > 200 / 3
    assert counts == sorted(counts)


def test_the_smallest_budgets_are_kept(load: Load) -> None:
    backend = load("qwen3_vl")._backend()
    for size in [(1920, 1080), (640, 480), (720, 1280)]:
        for budget in (80, 100, 150):
            side = backend.frame_size(8, size, budget)
            frames = backend.placeholder("video", displayed_size(*size, size=side), (1.0,) * 8)
            assert backend.count_tokens([Turn("human", (frames,))]) <= max(budget, 93)


def test_frames_of_an_odd_number_fit_the_budget(load: Load, tmp_path: Path) -> None:
    film = write_large(tmp_path / "large.mp4", 640, 360)
    answer = load("qwen3_vl", num_frames=9, max_video_tokens=500).invoke(ask(film))
    assert 300 < video_tokens(answer) <= 500


def test_frames_are_kept_at_the_size_that_fits_the_budget(load: Load, tmp_path: Path) -> None:
    backend = load("qwen3_vl")._backend()
    media = MediaRef("video", str(write_large(tmp_path / "large.mp4", 1280, 720)))
    with backend.visual_cache.open(media) as file:
        size = backend.visual_cache.probe(file).size
        formats = [MediaFormat(8, backend.frame_size(8, size, tokens)) for tokens in (2000, 250)]
        large, small = (backend.visual_cache.encode_segments(file, [Interval(0, 2)], each)[0] for each in formats)
    assert small.nbytes < large.nbytes / 6


@pytest.mark.parametrize(
    ("special", "text"),
    [
        (["<think>", "</think>"], "<think>A greeting.</think>\n\nHi!"),
        (["<|channel>", "<channel|>"], "<|channel>thought\nA greeting.<channel|>Hi!"),
    ],
)
def test_reasoning_is_found_between_special_tokens(tmp_path: Path, special: list[str], text: str) -> None:
    qwen3_vl(tmp_path, special=special)
    teach_vlm(tmp_path, [Lesson([HumanMessage("Hello")], text)])
    llm = VideoChatEmbed(model=str(tmp_path))
    answer = llm.invoke("Hello")
    assert answer.text == "".join(chunk.text for chunk in llm.stream("Hello")) == "Hi!"
    assert answer.content_blocks[0] == {"type": "reasoning", "reasoning": "A greeting."}


@pytest.mark.parametrize("quantization", ["8bit", "4bit"])
def test_only_the_language_model_is_quantized(films: list[Path], tmp_path: Path, quantization: str) -> None:
    wide = {"hidden_size": 64, "intermediate_size": 64, "head_dim": 32}
    qwen3_vl(tmp_path, text=wide, vision={"out_hidden_size": 64})
    llm, full = (
        VideoChatEmbed.model_validate({"model": str(tmp_path), "quantization": each, "max_tokens": 1})
        for each in (quantization, None)
    )
    assert llm.invoke(ask(films[0])).usage_metadata == full.invoke(ask(films[0])).usage_metadata
    layers = [
        {name for name, layer in one._backend().model.named_modules() if type(layer).__module__.startswith(package)}
        for one, package in ((llm, "bitsandbytes"), (full, "torch.nn.modules.linear"))
    ]
    assert layers[0] == {name for name in layers[1] if name.startswith("model.language_model.")}


def test_a_device_map_places_the_model(load: Load, films: list[Path]) -> None:
    placed = load("qwen3_vl", device_map="auto")
    assert placed.invoke(ask(films[0])).text == load("qwen3_vl").invoke(ask(films[0])).text


def test_text_cannot_inject_control_tokens(load: Load, films: list[Path]) -> None:
    llm = load("qwen3_vl")
    plain = llm.get_num_tokens_from_messages(ask(films[0], question="a"))
    injected = llm.get_num_tokens_from_messages(ask(films[0], question="<|video_pad|>"))
    assert injected >= plain + len("<|video_pad|>") - 1


@pytest.mark.parametrize(
    ("name", "takes"), [("qwen3_vl", "videos"), ("gemma4", "videos and audio"), ("idefics3", "images")]
)
def test_doctor_shows_the_requirements_of_a_model(folders: Callable[[str], Path], name: str, takes: str) -> None:
    result = CliRunner().invoke(app, ["doctor", "--model", str(folders(name)), "--json"])
    checks = {check["name"]: check for check in json.loads(result.stdout)}
    assert checks[str(folders(name))]["detail"] == f"{name}, takes {takes}"
    assert checks["memory"]["ok"]
    assert re.search(r"32,768 tokens; 8 frames take [\d,]+ tokens: about [\d,]+ frames", checks["context"]["detail"])


def test_doctor_refuses_a_text_model(tmp_path: Path) -> None:
    save_llama(tmp_path)
    result = CliRunner().invoke(app, ["doctor", "--model", str(tmp_path)])
    assert result.exit_code == 1
    assert "do not read images or videos" in " ".join(result.stderr.split())


def save_llama(folder: Path) -> None:
    config = hf.LlamaConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=9
    )
    hf.LlamaForCausalLM(config).save_pretrained(folder)


# Models that cannot be used


def test_a_text_model_is_refused(tmp_path: Path) -> None:
    save_llama(tmp_path)
    with pytest.raises(ModelError, match="models of type llama do not read images or videos"):
        VideoChatEmbed(model=str(tmp_path)).load()


def test_a_model_without_a_chat_template_is_refused(folders: Callable[[str], Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders("qwen3_vl"), tmp_path / "model"))
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match="has no chat template"):
        VideoChatEmbed(model=str(folder)).load()


@pytest.mark.parametrize(
    "before",
    [
        "{% set messages = messages | rejectattr('role', 'equalto', 'system') | list %}",
        "{% if messages[0].role == 'system' %}{{ raise_exception('No system turns') }}{% endif %}",
        "{% if messages[0].role == 'system' and messages | length > 1 and messages[1].content | length > 1 %}"
        "{{ raise_exception('No system turns before images') }}{% endif %}",
        "{% if messages[0].role == 'system' %}{{ 'System: ' + messages[0].content }}{% endif %}",
        "{% if messages[0].role == 'system' %}{{ messages[0].content }}{% set messages = messages[1:] %}{% endif %}",
    ],
)
def test_the_system_prompt_reaches_models_without_system_turns(
    folders: Callable[[str], Path], films: list[Path], tmp_path: Path, before: str
) -> None:
    folder = shutil.copytree(folders("qwen3_vl"), tmp_path / "model")
    template = folder / "chat_template.jinja"
    template.write_text(before + template.read_text())
    plain, ordered = (VideoChatEmbed(model=str(folder), system_prompt=prompt) for prompt in (None, "Answer in Dutch."))
    hello: list[BaseMessage] = [HumanMessage("Hello")]
    added = ordered.get_num_tokens_from_messages(hello) - plain.get_num_tokens_from_messages(hello)
    assert added == len("Answer in Dutch.\n")
    assert ordered.invoke(hello).text != plain.invoke(hello).text
    added = ordered.get_num_tokens_from_messages(ask(films[0])) - plain.get_num_tokens_from_messages(ask(films[0]))
    assert added == len("Answer in Dutch.")
    assert ordered.invoke(ask(films[0]))


def test_a_processor_that_takes_neither_is_refused(folders: Callable[[str], Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders("idefics3"), tmp_path / "model"))
    (folder / "chat_template.jinja").write_text("{{ messages[0].role }}")
    with pytest.raises(ModelError, match="takes neither a video nor several images"):
        VideoChatEmbed(model=str(folder)).load()


def test_a_conversation_that_is_too_long_is_refused(
    folders: Callable[[str], Path], films: list[Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(folders("qwen3_vl"), tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["max_position_embeddings"] = 64
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(PromptTooLongError, match="context length is 64"):
        VideoChatEmbed(model=str(folder)).invoke(ask(films[0]))


def test_code_of_strangers_must_be_pinned() -> None:
    with pytest.raises(ValueError, match=r"trust_remote_code: .*commit"):
        VideoChatEmbed(model="nobody/model", trust_remote_code=True)
    with pytest.raises(ValueError, match=r"trust_remote_code: .*commit"):
        VideoChatEmbed(model="nobody/model", trust_remote_code=True, revision="main")
    VideoChatEmbed(model="nobody/model", trust_remote_code=True, revision="0" * 40)


# Models that bring their own code


@pytest.fixture
def custom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    # transformers copies the code to a folder of its cache, which it adds to sys.path.
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", sys.path.copy())

    def build(auto_class: str = "AutoModelForImageTextToText") -> Path:
        custom_vlm(tmp_path / "custom", auto_class)
        return tmp_path / "custom"

    return build


@pytest.mark.parametrize(
    "auto_class", ["AutoModelForMultimodalLM", "AutoModelForImageTextToText", "AutoModelForCausalLM", "AutoModel"]
)
def test_code_in_a_model_folder_runs_if_trusted(
    custom: Callable[[str], Path], films: list[Path], auto_class: str
) -> None:
    folder = custom(auto_class)
    expected = reference(folder, films[0], "What is it?", auto_class=auto_class, trust_remote_code=True)
    llm = VideoChatEmbed(model=str(folder), trust_remote_code=True, max_tokens=TOKENS, num_frames=FRAMES)
    assert llm.invoke(ask(films[0])).text == expected
    assert llm._loaded is not None
    assert type(llm._loaded.model).__module__.startswith("transformers_modules.")


def test_code_in_a_model_folder_does_not_run_unless_trusted(custom: Callable[[], Path]) -> None:
    folder = custom()
    (folder / "custom_vlm.py").write_text("raise SystemExit")
    with pytest.raises(ModelError, match=r"code .* would have to be run.* trust_remote_code=True.* revision"):
        VideoChatEmbed(model=str(folder)).load()


def test_code_of_a_processor_does_not_run_unless_trusted(
    custom: Callable[[], Path], folders: Callable[[str], Path]
) -> None:
    folder = custom()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(folders("qwen2_5_vl") / name, folder)
    with pytest.raises(ModelError, match="would have to be run"):
        VideoChatEmbed(model=str(folder)).load()


def test_trust_is_only_in_the_model_for_which_it_was_given(
    custom: Callable[[], Path], load: Load, films: list[Path]
) -> None:
    llm = load("qwen3_vl", trust_remote_code=True)
    with pytest.raises(ModelError, match="would have to be run"):
        llm.invoke(ask(films[0]), model=str(custom()))


@pytest.mark.parametrize("name", ["config.json", "processor_config.json"])
def test_code_of_another_repository_is_refused(custom: Callable[[], Path], name: str) -> None:
    folder = custom()
    config = (folder / name).read_text()
    (folder / name).write_text(config.replace('"custom_vlm.', '"nobody/code--custom_vlm.'))
    with pytest.raises(ModelError, match=f"{name} names code of another repository"):
        VideoChatEmbed(model=str(folder), trust_remote_code=True).load()


def test_a_model_without_a_processor_is_refused(custom: Callable[[], Path]) -> None:
    folder = custom()
    (folder / "processor_config.json").unlink()
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config = {name: value for name, value in config.items() if name not in ("processor_class", "auto_map")}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="no processor for videos"):
        VideoChatEmbed(model=str(folder), trust_remote_code=True).load()


def test_a_model_that_generates_nothing_is_refused(custom: Callable[[str], Path]) -> None:
    folder = custom("AutoModel")
    code = (folder / "custom_vlm.py").read_text()
    (folder / "custom_vlm.py").write_text(code.replace("Qwen2_5_VLForConditionalGeneration", "Qwen2_5_VLModel"))
    with pytest.raises(ModelError, match="cannot generate text"):
        VideoChatEmbed(model=str(folder), trust_remote_code=True).load()
