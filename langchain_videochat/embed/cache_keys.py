"""Keys of LangChain's cache for answers about files."""

from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.caches import BaseCache
from langchain_core.globals import get_llm_cache
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage

from langchain_videochat.embed.errors import core_errors

FileStates = Callable[[Sequence[BaseMessage]], list[tuple[str, int, int]]]


def file_cache_key(llm: BaseChatModel, messages: Sequence[BaseMessage], file_states: FileStates) -> dict[str, Any]:
    """Return options that make a cached answer valid only as long as the files in the messages do not change.

    Args:
        llm: The chat model.
        messages: The conversation.
        file_states: Returns the `file_state` of each local file that messages refer to.
    """
    is_cached = llm.cache is not False and (isinstance(llm.cache, BaseCache) or get_llm_cache() is not None)
    if not is_cached:
        return {}
    with core_errors():
        return {"files": file_states(messages)}
