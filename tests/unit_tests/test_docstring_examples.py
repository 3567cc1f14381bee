"""The examples in docstrings run unchanged, including those that doctest does not run."""

import ast
import doctest
import re
import shutil
import textwrap
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import torch
import uvicorn
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import BaseTool
from PIL import Image
from pydantic import BaseModel
from safetensors.torch import load_file
from starlette.testclient import TestClient
from transformers import LlamaConfig, LlamaForCausalLM

import langchain_videochat
from langchain_videochat.embed import Turn, VideoChatEmbed, load_model
from langchain_videochat.instruct import InstructionPlan, generate_instructions
from langchain_videochat.media import probe
from langchain_videochat.perception import Observation
from langchain_videochat.perception.actions import Actions
from langchain_videochat.perception.uniformerv2 import UniFormerV2, UniFormerV2Config
from langchain_videochat.text.tools.base import VideoTool
from langchain_videochat.timeline import Timeline
from langchain_videochat.training import train
from tests.agents import make_store
from tests.api_docs import list_pages
from tests.benchmark_files import lvb_row, mme_row, mme_v2_group, write_lvb, write_mme, write_mme_v2
from tests.chat_server import ChatServer
from tests.instruct_data import Writer, write_truth
from tests.media_files import make_beeps
from tests.tiny_models import tiny_videomae
from tests.tiny_training import make_config, make_samples, write_json
from tests.tiny_videochat import byte_tokenizer, save_videochat
from tests.unit_tests.embeddings import BagOfWords

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)

PACKAGE = Path(langchain_videochat.__file__).parent

EMBED = Path(__file__).parents[1] / "data" / "embed"
"""Tiny versions of the original checkpoints."""

REPLACEMENTS = {
    # These would wait for new files.
    'watch_sources("talks/")': 'zip(range(0), watch_sources("videos/"))',
    'store.watch_folder("talks/")': 'map(str, zip(range(0), store.watch_folder("videos/")))',
    "file:///films/": "{folder}/",
    # Chroma caches one client per path and process, so relative paths would clash between tests.
    'VideoTimelineStore("index")': 'VideoTimelineStore(Path("index").absolute())',
    # Fewer are enough for a test.
    '("shapes", "train", 1000)': '("shapes", "train", 3)',
    'write_benchmark("shapes-bench")': 'write_benchmark("shapes-bench", per_task=1)',
    # Tiny models do not have the default number of heads, and other examples need a model in the original folder.
    'output="videochat-7b",': 'output="converted", vision_heads=4, qformer_heads=4,',
}
"""Text of examples to replace in the tests."""


class Example(NamedTuple):
    """An example that doctest does not run."""

    module: str
    name: str
    code: str


def find_examples() -> list[Example]:
    """Find the examples in the package, one per docstring."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        docstrings = _docstrings(ast.parse(path.read_text(encoding="utf-8")), module)
        found += [Example(module, name, code) for name, docstring in docstrings if (code := _code(docstring))]
    return found


def _docstrings(node: ast.AST, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, DOCUMENTED):
        yield name, ast.get_docstring(node) or ""
    for child in ast.iter_child_nodes(node):
        yield from _docstrings(child, f"{name}.{child.name}" if isinstance(child, DOCUMENTED[1:]) else name)


def _code(docstring: str) -> str:
    doctests = doctest.DocTestParser().get_examples(docstring)
    if doctests:
        is_skipped = any(doctest.SKIP in example.options for example in doctests)
        return "".join(example.source for example in doctests) if is_skipped else ""
    section = re.search(r"^Examples?:\n((?:[ ].*\n?|\n)+)", docstring, re.MULTILINE)
    # Prose between code blocks is indented less than the code.
    blocks = re.sub(r"^\S.*", "", textwrap.dedent(section[1]), flags=re.MULTILINE) if section else ""
    return textwrap.dedent(blocks).strip("\n")


EXAMPLES = find_examples()


def _answer(system: str, prompt: str) -> str:
    return write_truth(system, prompt) if "video_notes" in prompt else "60 g [1]."


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the examples use: tiny models and short videos."""
    folder = tmp_path_factory.mktemp("prepared")
    talk = make_beeps(folder / "talk.mp4", seconds=90, rate=1)
    copies = ["yoga.mp4", "videos/talk.mp4", "talks/talk.mp4"]
    copies += ["MVBench/video/star/Charades_v1_480/a.mp4", "MVBench/video/clevrer/video_validation/a.mp4"]
    copies += ["Video-MME/data/a.mp4", "Video-MME-v2/videos/a.mp4", "LongVideoBench/videos/a.mp4"]
    for name in copies:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(talk, folder / name)
    Image.new("RGB", (64, 48)).save(folder / "photo.jpg")
    row = {"video": "a.mp4", "question": "What came first?", "candidates": ["This.", "That."], "answer": "That."}
    (folder / "MVBench" / "json").mkdir()
    write_json(folder / "MVBench/json/action_sequence.json", [row | {"start": 1.0, "end": 2.5}])
    write_json(folder / "MVBench/json/moving_direction.json", [row])
    write_mme(folder / "Video-MME", [mme_row(0, "a", task_type="Temporal Reasoning")])
    write_mme_v2(folder / "Video-MME-v2", mme_v2_group("a"))
    write_lvb(folder / "LongVideoBench", [lvb_row(0, "a")])
    save_videochat(folder / "videochat-7b", max_positions=4096)
    # The recipe takes hours, unless its output already exists.
    shutil.copytree(folder / "videochat-7b", folder / "runs/tiny/videochat-embed-tiny")
    generate_instructions(
        Writer(), [describe(talk)], folder / "made", InstructionPlan(("causal",)), show_progress=False
    )
    _prepare_training(folder)
    _prepare_originals(folder)
    tiny_videomae(folder / "videomae", "yoga")
    return folder


def _prepare_training(folder: Path) -> None:
    samples = make_samples(folder / "samples")
    train(make_config(samples, folder / "runs/stage2", steps=1), show_progress=False)
    config = make_config(samples, folder / "runs/7b-stage1", steps=1)
    (folder / "examples/training").mkdir(parents=True)
    (folder / "examples/training/7b-stage1.yaml").write_text(config.model_dump_json(exclude_none=True))


def _prepare_originals(folder: Path) -> None:
    for name, original in {
        "eva_vit_g": "eva_vit_g",
        "blip2_pretrained_flant5xxl": "blip2_pretrained",
        "videochat_7b": "videochat",
    }.items():
        torch.save(load_file(EMBED / f"{original}.safetensors"), folder / f"{name}.pth")
    shape = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    llama: Any = LlamaConfig(vocab_size=260, bos_token_id=0, eos_token_id=1, **shape)  # type: ignore[arg-type]
    for name in ("llama-7b", "lmsys/vicuna-7b-delta-v0"):
        LlamaForCausalLM(llama).save_pretrained(folder / name)
        byte_tokenizer().save_pretrained(folder / name)
    config = UniFormerV2Config(64, 2, 1, 16, 1, 2, 400, (1,), 0, 0, 8)
    torch.save(UniFormerV2(config).state_dict(), folder / "k400+k710_uniformerv2_b16_8x224.pyth")


def describe(talk: Path) -> Timeline:
    """Return a timeline with observations that the scripted model understands."""
    caption = Observation(0, 4, "caption", "a red apple stands on shelf 1")
    action = Observation(4, 80, "action", "somebody takes the red apple from shelf 1")
    return Timeline.of(probe(talk), "c0ffee", [caption, action])


@pytest.fixture(scope="module")
def public() -> dict[str, Any]:
    """All public names, and names from libraries that the examples use."""
    names: dict[str, Any] = {
        "AIMessage": AIMessage,
        "BaseModel": BaseModel,
        "HumanMessage": HumanMessage,
        "Path": Path,
        "uvicorn": uvicorn,
    }
    for page in list_pages():
        names |= _public_names(import_module(page))
    return names


def _public_names(module: ModuleType) -> dict[str, Any]:
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
    return {name: getattr(module, name) for name in getattr(module, "__all__", own)}


@pytest.fixture(scope="module")
def loaded(prepared: Path) -> dict[str, Any]:
    """A loaded model, its processor and inputs."""
    model, processor = load_model(prepared / "videochat-7b", device="cpu", show_progress=False)
    inputs = processor([Turn("human", ("How good is it?",))])
    return {"model": model, "processor": processor, "tokenizer": processor.tokenizer, "inputs": inputs}


@pytest.fixture
def run(
    prepared: Path,
    public: dict[str, Any],
    loaded: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Example], None]:
    """Run an example in a folder of its own, without network access."""
    folder = shutil.copytree(prepared, tmp_path / "work")
    monkeypatch.chdir(folder)
    monkeypatch.setattr("uvicorn.run", lambda app: None)  # would serve until stopped
    monkeypatch.setattr("langchain_videochat.store.store.choose_embeddings", lambda *_: BagOfWords())
    monkeypatch.setattr(Actions, "default_model", "videomae")
    monkeypatch.setenv("VIDEOCHAT_EMBED_MODEL", "videochat-7b")

    server = ChatServer({"Qwen/Qwen3-VL-8B-Instruct": VideoChatEmbed(model="videochat-7b", max_tokens=64)})
    client = TestClient(server.app)
    monkeypatch.setattr("langchain_openai.chat_models.base._get_default_httpx_client", lambda *_: client)
    monkeypatch.setattr(VideoTool, "invoke", _invoke)

    def run(example: Example) -> None:
        code = example.code
        for text, other in REPLACEMENTS.items():
            code = code.replace(text, other.format(folder=folder.as_uri()))
        given = {
            "folder": "videochat-7b",
            "llm": Writer(script=_answer),
            "pixel_values": torch.zeros(1, 8, 3, 32, 32),
            "store": make_store(describe(folder / "videos/talk.mp4")),
        }
        names = {**public, **_public_names(import_module(example.module)), **loaded, **given}
        exec(compile(code, example.name, "exec"), {"__name__": example.name, **names})

    return run


def _invoke(tool: VideoTool, *arguments: Any) -> Any:
    """Raise errors that a tool would return to the language model as text."""
    tool.handle_tool_error = tool.handle_validation_error = False
    return BaseTool.invoke(tool, *arguments)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name.removeprefix("langchain_videochat."))
def test_example_runs(example: Example, run: Callable[[Example], None]) -> None:
    run(example)


def test_replaced_text_exists() -> None:
    code = "\n".join(example.code for example in EXAMPLES)
    assert [text for text in REPLACEMENTS if text not in code] == []
