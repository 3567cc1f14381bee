"""LangChain's standard tests for chat models, with tiny models that were trained on the answers.

VideoChatEmbed passes them with a VideoChat-Embed and with models of transformers; ChatVideoServer passes them through
HTTP, with the VideoChat-Embed behind the server.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.load import load
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.integration_tests.chat_models import magic_function, unicode_customer
from langchain_tests.unit_tests import ChatModelUnitTests, chat_models

from langchain_videochat import ChatVideoServer, VideoChatEmbed
from langchain_videochat.embed.messages import write_tool_call
from langchain_videochat.errors import SourceError
from tests.chat_server import ChatServer, serve
from tests.tiny_videochat import save_videochat
from tests.tiny_vlms import qwen3_vl, smolvlm
from tests.trained_videochat import Lesson, teach, teach_vlm


@tool
def get_weather(location: str) -> str:
    """Get the weather at a location."""
    return "It's sunny."


@tool
def greeting_generator(answer_style: str) -> str:
    """Generate a greeting in a particular style of speaking."""
    return "hello matey"


WEATHER = HumanMessage("What is the weather in San Francisco, CA?")
PLACE = {"location": "San Francisco, CA"}
CHINESE = {"customer_name": "你好啊集团", "description": "A Chinese technology company"}
JAPANESE = {"customer_name": "こんにちは株式会社", "description": "A Japanese company"}
LESSONS = [
    Lesson([HumanMessage("Hello")], "Hello! What shall I look at?"),
    Lesson(
        [HumanMessage("What is the value of magic_function(3)? Use the tool.")],
        write_tool_call("magic_function", {"input": 3}),
        [magic_function],
    ),
    Lesson(
        [HumanMessage("Create a customer named '你好啊集团' (Hello Group) - a Chinese technology company")],
        write_tool_call("unicode_customer", CHINESE),
        [unicode_customer],
    ),
    Lesson(
        [HumanMessage("Create a customer named 'こんにちは株式会社' (Hello Corporation) - a Japanese company")],
        write_tool_call("unicode_customer", JAPANESE),
        [unicode_customer],
    ),
    Lesson(
        [HumanMessage("Using the tool, generate a Pirate greeting.")],
        write_tool_call("greeting_generator", {"answer_style": "Pirate"}),
        [greeting_generator],
    ),
    Lesson([WEATHER], write_tool_call("get_weather", PLACE), [get_weather]),
    Lesson(
        [
            WEATHER,
            AIMessage("", tool_calls=[{"name": "get_weather", "args": PLACE, "id": "call_1"}]),
            ToolMessage("It's sunny.", name="get_weather", tool_call_id="call_1"),
        ],
        "It is sunny in San Francisco.",
        [get_weather],
    ),
]
"""Conversations of the tests: a model of this size can memorize them, but not learn to use tools."""


@contextmanager
def default_model(folder: Path) -> Iterator[None]:
    """Make a model the default, and copy it for the tests that name another one."""
    shutil.copytree(folder, f"{folder}-other")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDEOCHAT_EMBED_MODEL", str(folder))
        yield


@pytest.fixture(scope="module", autouse=True)
def _videochat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = save_videochat(tmp_path_factory.mktemp("videochat"), max_positions=8192)
    teach(folder, LESSONS)
    with default_model(folder):
        yield


@pytest.fixture(scope="class", params=[qwen3_vl, smolvlm], ids=lambda build: build.__name__)
def _transformers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp(request.param.__name__)
    request.param(folder)
    teach_vlm(folder, LESSONS)
    with default_model(folder):
        yield


@pytest.fixture(scope="module")
def server_url() -> Iterator[str]:
    """The address of a server with the trained model, under its name and another one."""
    model = VideoChatEmbed()
    with serve(ChatServer({"videochat": model, "videochat-other": model}, owner="videochat")) as url:
        yield url


def allow_class(chat_model: type[BaseChatModel], monkeypatch: pytest.MonkeyPatch) -> None:
    """Allow a class in LangChain's test of serialization, which only allows those that LangChain lists."""
    path = tuple(chat_model.lc_id())
    monkeypatch.setattr(chat_models, "load", partial(load, additional_import_mappings={path: path}))


class TestUnit(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return VideoChatEmbed

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "/models/videochat"}

    @pytest.fixture(autouse=True)
    def _allow_class(self, monkeypatch: pytest.MonkeyPatch) -> None:
        allow_class(VideoChatEmbed, monkeypatch)

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return {"VIDEOCHAT_EMBED_MODEL": "/models/other"}, {}, {"model": "/models/other"}


class VideoModelTests(ChatModelIntegrationTests):
    """LangChain's tests of a chat model that takes images and videos."""

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def supports_video_inputs(self) -> bool:
        return True

    @pytest.mark.xfail(reason="downloads an image from the internet", raises=(httpx.HTTPError, SourceError))
    def test_image_inputs(self, model: BaseChatModel) -> None:
        super().test_image_inputs(model)

    @pytest.mark.xfail(reason="downloads an image from the internet", raises=httpx.HTTPError)
    def test_image_tool_message(self, model: BaseChatModel) -> None:
        super().test_image_tool_message(model)


class TestIntegration(VideoModelTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return VideoChatEmbed

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"max_tokens": 256}

    @property
    def model_override_value(self) -> str:
        return f"{os.environ['VIDEOCHAT_EMBED_MODEL']}-other"


@pytest.mark.usefixtures("_transformers")
class TestTransformersIntegration(TestIntegration):
    """The same tests, with models of transformers."""


class TestServerUnit(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatVideoServer

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"base_url": "http://localhost:8000/v1", "model": "videochat"}

    @pytest.fixture(autouse=True)
    def _allow_class(self, monkeypatch: pytest.MonkeyPatch) -> None:
        allow_class(ChatVideoServer, monkeypatch)

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return {"VIDEOCHAT_SERVER_API_KEY": "secret"}, self.chat_model_params, {"openai_api_key": "secret"}


class TestServerIntegration(VideoModelTests):
    url: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _set_url(self, server_url: str) -> None:
        type(self).url = server_url

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatVideoServer

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"base_url": self.url, "model": "videochat", "max_tokens": 256}

    @property
    def model_override_value(self) -> str:
        return "videochat-other"
