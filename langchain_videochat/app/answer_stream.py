"""Streaming of an answer to the browser."""

import json
import logging
from collections.abc import Callable, Coroutine, Generator
from contextlib import closing
from typing import Any

from anyio import CapacityLimiter, from_thread, to_thread
from starlette.responses import StreamingResponse
from starlette.types import Send

from langchain_videochat.app.chat import Chat, ChatQuestion
from langchain_videochat.errors import VideoChatError
from langchain_videochat.text.llms import model_errors

_LOG = logging.getLogger(__name__)


class AnswerResponse(StreamingResponse):
    """The parts of an answer as JSON Lines; if it fails midway, the last line has the error.

    One thread generates the whole answer and closes its generator, as LangChain's generators must not move between
    threads. It stops at the next part when the client has disconnected.

    Args:
        chat: The chat backend.
        question: The question.
        threads: Limits the number of answers that are generated at the same time.
    """

    def __init__(self, chat: Chat, question: ChatQuestion, threads: CapacityLimiter) -> None:
        super().__init__((), media_type="application/x-ndjson")
        self._chat = chat
        self._question = question
        self._threads = threads

    async def stream_response(self, send: Send) -> None:
        """Send the answer; Starlette cancels this when the client disconnects."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})

        async def send_line(line: bytes) -> None:
            await send({"type": "http.response.body", "body": line, "more_body": True})

        await to_thread.run_sync(self._send_parts, send_line, limiter=self._threads)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _send_parts(self, send_line: Callable[[bytes], Coroutine[Any, Any, None]]) -> None:
        with closing(self._parts()) as parts:
            for part in parts:
                from_thread.check_cancelled()
                from_thread.run(send_line, json.dumps(part).encode() + b"\n")

    def _parts(self) -> Generator[dict[str, Any]]:
        try:
            with model_errors():
                yield from self._chat.answer(self._question)
        except VideoChatError as error:
            _LOG.warning("Chat failed: %s", error)
            yield {"error": str(error)}
