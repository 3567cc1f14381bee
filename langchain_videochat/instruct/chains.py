"""Description and conversation chains over any LangChain chat model (paper 3.2.2)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from langchain_core.language_models import LanguageModelLike
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda

from langchain_videochat.instruct.answer_parsing import ask_with_retry, parse_pairs
from langchain_videochat.instruct.instruction_prompts import PromptName
from langchain_videochat.instruct.items import ConversationKind, ItemKind, QAPair
from langchain_videochat.instruct.notes import NotesBuilder
from langchain_videochat.instruct.plan import MAX_CONTEXT_TOKENS, WORDS, InstructionPlan
from langchain_videochat.timeline import Timeline
from langchain_videochat.utils.untrusted_text import mark_as_data


def create_description_chain(
    llm: LanguageModelLike,
    *,
    language: str = "English",
    words: tuple[int, int] = WORDS,
    max_context_tokens: int = MAX_CONTEXT_TOKENS,
    prompts: Mapping[PromptName, ChatPromptTemplate] = MappingProxyType({}),
) -> Runnable[Timeline, str]:
    """Create a chain that describes a video in detail: one call writes the description, a second one corrects it.

    A timeline that does not fit in one prompt is condensed first, with one call for each part.

    Args:
        llm: The chat model.
        language: English name of the language to write in.
        words: Minimum and maximum number of words to ask for.
        max_context_tokens: Maximum tokens of the video's notes in one prompt.
        prompts: Replacements for `instruction_prompts.PROMPTS`: `describe`, `correct` or `condense`.

    Returns:
        A chain from a Timeline to a description. It raises InputError if the timeline is empty, ModelError if the
        model returns two empty answers, and any error of the model.

    Raises:
        InputError: An argument is invalid.

    Example:
        Describe a video of a store:

            chain = create_description_chain(llm, language="German")
            print(chain.invoke(store.timeline(store.videos()[0].video_id)))
    """
    plan = InstructionPlan(("description",), language, words, max_context_tokens, prompts)
    chain = _notes_chain(llm, plan) | create_item_chain(llm, "description", plan)
    return chain.with_types(input_type=Timeline, output_type=str).with_config(run_name="describe_video")


def create_conversation_chain(
    llm: LanguageModelLike,
    kind: ConversationKind,
    *,
    language: str = "English",
    max_context_tokens: int = MAX_CONTEXT_TOKENS,
    prompts: Mapping[PromptName, ChatPromptTemplate] = MappingProxyType({}),
) -> Runnable[Timeline, tuple[QAPair, ...]]:
    """Create a chain that writes a multi-turn conversation about a video.

    Args:
        llm: The chat model.
        kind: "descriptive", "temporal" or "causal".
        language: English name of the language to write in.
        max_context_tokens: Maximum tokens of the video's notes in one prompt.
        prompts: Replacements for `instruction_prompts.PROMPTS`: the prompt of the kind, or `condense`.

    Returns:
        A chain from a Timeline to questions and answers. It raises InputError if the timeline is empty, ModelError if
        two answers contain no conversation in JSON, and any error of the model.

    Raises:
        InputError: An argument is invalid.

    Example:
        Ask about the order of events:

            chain = create_conversation_chain(llm, "temporal")
            for pair in chain.invoke(store.timeline(store.videos()[0].video_id)):
                print(pair.q, pair.a)
    """
    plan = InstructionPlan((kind,), language, max_context_tokens=max_context_tokens, prompts=prompts)
    chain = _notes_chain(llm, plan) | create_item_chain(llm, kind, plan)
    return chain.with_types(input_type=Timeline, output_type=tuple[QAPair, ...]).with_config(run_name=f"{kind}_talk")


def create_item_chain(llm: LanguageModelLike, kind: ItemKind, plan: InstructionPlan) -> Runnable[dict[str, Any], Any]:
    """Create a chain from `notes` to a description or a conversation."""
    if kind != "description":
        return ask_with_retry(plan.prompt(kind).partial(language=plan.language), llm, parse_pairs)
    shortest, longest = map(str, plan.words)
    describe = plan.prompt("describe").partial(language=plan.language, shortest=shortest, longest=longest)
    correct = plan.prompt("correct").partial(language=plan.language)
    draft = ask_with_retry(describe, llm, lambda text: {"description": mark_as_data(text)})
    return draft | ask_with_retry(correct, llm)


def _notes_chain(llm: LanguageModelLike, plan: InstructionPlan) -> Runnable[Timeline, dict[str, Any]]:
    builder = NotesBuilder.of(llm, plan)

    def build_notes(timeline: Timeline, config: RunnableConfig) -> dict[str, Any]:
        return {"notes": builder.build(timeline, config)}

    return RunnableLambda(build_notes)
