"""From an answer that is being written to the chunks that LangChain streams."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, cast

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.outputs import ChatGenerationChunk

from langchain_videochat.embed.tool_calls import Tool, read_calls

if TYPE_CHECKING:
    from langchain_videochat.embed.answering import Answer

PROVIDER = "langchain-videochat"


def make_chunks(answer: "Answer", tools: Sequence[Tool], model: str | None) -> Iterator[ChatGenerationChunk]:
    """Make a chunk of each piece; what may be calls of tools is held until it is whole.

    The last chunk tells what was used, why the answer ends, and the times of the frames that were looked at.
    """
    held = ""
    for piece in answer.pieces:
        held += piece.text
        may_be_calls = bool(tools) and held.lstrip()[:1] in ("", "{")
        if piece.finish_reason is None and may_be_calls:
            # Whoever reads gets a chance to leave.
            yield ChatGenerationChunk(message=AIMessageChunk(content=""))
            continue
        calls = read_calls(held, tools) if may_be_calls else []
        message = AIMessageChunk(content="" if calls else held, tool_call_chunks=calls)
        if piece.finish_reason is not None:
            message.chunk_position = "last"
            message.usage_metadata = _usage(answer, piece.tokens)
            message.response_metadata = {
                "model_name": model,
                "model_provider": PROVIDER,
                "finish_reason": "tool_calls" if calls else piece.finish_reason,
                "sampled_times": [list(one.times) for one in answer.seen if one.kind == "video"],
            }
        yield ChatGenerationChunk(message=message)
        held = ""


def _usage(answer: "Answer", tokens: int) -> UsageMetadata:
    read, written = answer.usage.prompt_tokens, answer.usage.written_tokens + tokens
    return UsageMetadata(
        input_tokens=read,
        output_tokens=written,
        total_tokens=read + written,
        input_token_details=cast("InputTokenDetails", {"video": answer.usage.visual_tokens}),
    )
