"""Streaming an answer as LangChain message chunks."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.outputs import ChatGenerationChunk

from langchain_videochat.embed.output_format import OutputFormat
from langchain_videochat.embed.tool_calls import parse_tool_calls

if TYPE_CHECKING:
    from langchain_videochat.embed.inference import Answer

PROVIDER = "langchain-videochat"


def stream_chunks(answer: "Answer", output_format: OutputFormat, model: str | None) -> Iterator[ChatGenerationChunk]:
    """Yield one chunk per text delta. Text that may be a tool call is buffered until it is complete.

    The last chunk carries token usage, the finish reason, and the timestamps of the sampled frames.
    """
    buffered = ""
    tools = output_format.tools
    max_calls = None if output_format.allows_several_calls else 1
    for delta in answer.deltas:
        buffered += delta.text
        may_be_calls = bool(tools) and buffered.lstrip()[:1] in ("", "{")
        # LangChain makes a reasoning block of it.
        reasoning = {"reasoning_content": delta.reasoning} if delta.reasoning else {}
        if delta.finish_reason is None and may_be_calls:
            # An empty chunk gives the caller a chance to cancel.
            yield ChatGenerationChunk(message=AIMessageChunk(content="", additional_kwargs=reasoning))
            continue
        calls = parse_tool_calls(buffered, tools)[:max_calls] if may_be_calls else []
        content = "" if calls else buffered
        message = AIMessageChunk(content=content, tool_call_chunks=calls, additional_kwargs=reasoning)
        if delta.finish_reason is not None:
            message.chunk_position = "last"
            message.usage_metadata = _usage_metadata(answer, delta.num_tokens)
            message.response_metadata = {
                "model_name": model,
                "model_provider": PROVIDER,
                "finish_reason": "tool_calls" if calls else delta.finish_reason,
                "sampled_times": [list(times) for times in answer.sampled_times],
            }
        yield ChatGenerationChunk(message=message)
        buffered = ""


def _usage_metadata(answer: "Answer", num_tokens: int) -> UsageMetadata:
    usage = answer.usage
    output_tokens = usage.output_tokens + num_tokens
    audio = {"audio": usage.audio_tokens} if usage.audio_tokens else {}
    return UsageMetadata(
        input_tokens=usage.input_tokens,
        output_tokens=output_tokens,
        total_tokens=usage.input_tokens + output_tokens,
        input_token_details=cast("InputTokenDetails", {"video": usage.video_tokens} | audio),
    )
