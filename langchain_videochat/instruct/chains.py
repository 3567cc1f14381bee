"""Descriptions and conversations as chains over any chat model of LangChain (paper 3.2.2)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from langchain_core.language_models import LanguageModelLike
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda

from langchain_videochat.instruct.asking import ask, read_numbers, read_pairs
from langchain_videochat.instruct.items import ConversationKind, Kind, Pair
from langchain_videochat.instruct.notes import TimelineReader, counter_of
from langchain_videochat.instruct.plan import MAX_CONTEXT_TOKENS, WORDS, Plan
from langchain_videochat.instruct.prompts import PromptName
from langchain_videochat.text.prompts import mark_as_data
from langchain_videochat.timeline import Timeline


def create_description_chain(
    llm: LanguageModelLike,
    *,
    language: str = "English",
    words: tuple[int, int] = WORDS,
    max_context_tokens: int = MAX_CONTEXT_TOKENS,
    prompts: Mapping[PromptName, ChatPromptTemplate] = MappingProxyType({}),
) -> Runnable[Timeline, str]:
    """Make a chain that describes a video in detail: one call to write, a second one to correct.

    A timeline that is too long for one prompt is condensed first, with a call for each part.

    Args:
        llm: The chat model.
        language: The language to write in.
        words: How many words to ask for, at least and at most.
        max_context_tokens: Tokens that the notes of the video may take in one prompt.
        prompts: What the model is told instead of `prompts.PROMPTS`: `describe`, `correct` or `condense`.

    Returns:
        A chain from a Timeline to a description. It raises InputError where nothing was observed, ModelError where the
        model answers nothing twice, and whatever the model raises.

    Raises:
        InputError: An argument makes no sense.

    Example:
        Describe a video of a store:

            chain = create_description_chain(llm, language="German")
            print(chain.invoke(store.timeline(store.videos()[0].video_id)))
    """
    plan = Plan(("description",), language, words, max_context_tokens, prompts)
    chain = _reading(llm, plan) | make_describer(llm, plan)
    return chain.with_types(input_type=Timeline, output_type=str).with_config(run_name="describe_video")


def create_conversation_chain(
    llm: LanguageModelLike,
    kind: ConversationKind,
    *,
    language: str = "English",
    max_context_tokens: int = MAX_CONTEXT_TOKENS,
    prompts: Mapping[PromptName, ChatPromptTemplate] = MappingProxyType({}),
) -> Runnable[Timeline, tuple[Pair, ...]]:
    """Make a chain that writes a conversation of several turns about a video.

    Args:
        llm: The chat model.
        kind: "descriptive", "temporal" or "causal".
        language: The language to write in.
        max_context_tokens: Tokens that the notes of the video may take in one prompt.
        prompts: What the model is told instead of `prompts.PROMPTS`: the one of the kind, or `condense`.

    Returns:
        A chain from a Timeline to questions and answers. It raises InputError where nothing was observed, ModelError
        where the model answers twice without a conversation in JSON, and whatever the model raises.

    Raises:
        InputError: An argument makes no sense.

    Example:
        Ask for what comes before and after:

            chain = create_conversation_chain(llm, "temporal")
            for pair in chain.invoke(store.timeline(store.videos()[0].video_id)):
                print(pair.q, pair.a)
    """
    plan = Plan((kind,), language, max_context_tokens=max_context_tokens, prompts=prompts)
    chain = _reading(llm, plan) | make_converser(llm, kind, plan)
    return chain.with_types(input_type=Timeline, output_type=tuple[Pair, ...]).with_config(run_name=f"{kind}_talk")


def make_reader(llm: LanguageModelLike, plan: Plan) -> TimelineReader:
    """Make what writes the notes of a timeline for a model."""
    return TimelineReader(llm, plan.prompt("condense"), plan.max_context_tokens, counter_of(llm))


def make_writer(llm: LanguageModelLike, kind: Kind, plan: Plan) -> Runnable[dict[str, Any], Any]:
    """Make a chain from `notes` to a description, or to a conversation."""
    return make_describer(llm, plan) if kind == "description" else make_converser(llm, kind, plan)


def make_describer(llm: LanguageModelLike, plan: Plan) -> Runnable[dict[str, Any], str]:
    """Make a chain from `notes` to a description."""
    shortest, longest = map(str, plan.words)
    describing = plan.prompt("describe").partial(language=plan.language, shortest=shortest, longest=longest)
    correcting = plan.prompt("correct").partial(language=plan.language)
    return ask(describing, llm, lambda text: {"description": mark_as_data(text)}) | ask(correcting, llm)


def make_converser(
    llm: LanguageModelLike, kind: ConversationKind, plan: Plan
) -> Runnable[dict[str, Any], tuple[Pair, ...]]:
    """Make a chain from `notes` to a conversation."""
    return ask(plan.prompt(kind).partial(language=plan.language), llm, read_pairs)


def make_judge(llm: LanguageModelLike, plan: Plan) -> Runnable[dict[str, Any], tuple[int, ...]]:
    """Make a chain from `notes` and `statements` to the numbers of the statements that are not supported."""
    return ask(plan.prompt("judge"), llm, read_numbers)


def _reading(llm: LanguageModelLike, plan: Plan) -> Runnable[Timeline, dict[str, Any]]:
    reader = make_reader(llm, plan)

    def read(timeline: Timeline, config: RunnableConfig) -> dict[str, Any]:
        return {"notes": reader.read(timeline, config)}

    return RunnableLambda(read)
