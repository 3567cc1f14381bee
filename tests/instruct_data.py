"""Timelines to generate instruction data from, and a chat model that writes it from the notes in its prompt."""

import json
import re
import threading
from collections.abc import Callable
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from langchain_videochat.perception import Observation
from langchain_videochat.timeline import Timeline
from tests.unit_tests.embeddings import make_timeline

THINGS = ("apple", "bottle", "candle", "drum", "envelope", "feather", "guitar", "hammer", "iron", "jacket")
COLORS = ("red", "green", "blue", "yellow", "purple", "white", "black", "orange", "brown", "pink")

WORDS = (20, 60)
"""Length of the descriptions that `write_truth` returns."""

Script = Callable[[str, str], str]
"""Returns an answer, given the system message and the last message."""


def make_videos(count: int) -> list[Timeline]:
    """Return timelines of short videos with different contents."""
    return [_make_video(number) for number in range(count)]


def _make_video(number: int) -> Timeline:
    thing, color = THINGS[number % len(THINGS)], COLORS[number // len(THINGS) % len(COLORS)]
    seen = [
        Observation(0, 4, "caption", f"a {color} {thing} stands on shelf {number}"),
        Observation(4, 8, "action", f"somebody takes the {color} {thing} from shelf {number}"),
    ]
    return make_timeline(f"{number:08x}", *seen)


def write_truth(system: str, prompt: str) -> str:
    """Answer an instruction prompt truthfully from its notes."""
    if "JSON" in system and "supported" in system:
        return "[]"
    if "You correct" in system:
        return marked_text(prompt)
    thing = _find(r"a (\w+ \w+) stands", prompt)
    shelf = _find(r"on shelf (\d+)", prompt)
    if "JSON" not in system:
        return (
            f"First, a {thing} stands on shelf {shelf}, among other things that nobody touches. Next, somebody comes "
            f"near and looks at the {thing} for a while. Finally, this person takes it from shelf {shelf}."
        )
    kind = _find(r"Write the (\w+) conversation", prompt)
    pairs = [
        (f"What stands on shelf {shelf} at first, as {kind} as can be?", f"There is a {thing} on shelf {shelf}."),
        (f"What happens to the {thing} after that?", f"Somebody takes the {thing} from shelf {shelf}."),
        ("What is left in the end?", f"Nothing is left on shelf {shelf}, where the {thing} was."),
    ]
    return json.dumps([{"q": question, "a": answer} for question, answer in pairs])


def marked_text(prompt: str) -> str:
    """Return the text that is marked as data."""
    return _find(r"(?s)<video_notes>\n(.*?)\n</video_notes>", prompt)


def _find(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    assert found is not None, (pattern, text)
    return found[1]


_counting = threading.Lock()


class Writer(BaseChatModel):
    """A chat model that answers with a script, counts its calls and reports token usage."""

    script: Script = write_truth

    calls: int = 0

    @property
    def _llm_type(self) -> str:
        return "writer"

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        with _counting:
            self.calls += 1
        text = self.script(messages[0].text, messages[-1].text)
        usage: Any = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
        message = AIMessage(text, usage_metadata=usage, response_metadata={"model_name": "writer"})
        return ChatResult(generations=[ChatGeneration(message=message)])


def always(answer: str) -> Writer:
    """Return a model that gives the same answer to every prompt."""
    return Writer(script=lambda system, prompt: answer)
