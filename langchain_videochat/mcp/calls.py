"""Calls of MCP clients, run in worker threads: cancellable, with progress, and limited in number."""

from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

import anyio
from anyio import from_thread, to_thread

from langchain_videochat.errors import VideoChatError

T = TypeVar("T")

MAX_REPORTS = 16
"""Progress reports that may wait until the client has received earlier ones; further ones are dropped."""

Progress = Callable[[float, str], None]
"""Takes the progress of a call, 0 to 1, and a message."""

Report = Callable[[float, str], Awaitable[None]]
"""Sends a `Progress` to the client."""


class TooManyCallsError(VideoChatError):
    """The server has reached its limits on running and waiting calls."""


class Calls:
    """Runs calls in threads, a limited number at a time.

    Args:
        at_once: Number of calls that run at a time; others wait.
        waiting: Maximum number of calls that wait.
    """

    def __init__(self, at_once: int, waiting: int) -> None:
        self._threads = anyio.CapacityLimiter(at_once)
        self._free = at_once + waiting

    async def run(self, call: Callable[[Progress], T], report: Report) -> T:
        """Run a call in a thread.

        Args:
            call: Gets a function that it must call regularly: this reports the progress, and stops the call if the
                client has cancelled it.
            report: Sends progress to the client.

        Raises:
            TooManyCallsError: Too many calls are waiting.
        """
        if self._free <= 0:
            raise TooManyCallsError("server", "too many calls at the same time", "Call the tool again in a minute")
        self._free -= 1
        try:
            return await self._run(call, report)
        finally:
            self._free += 1

    async def _run(self, call: Callable[[Progress], T], report: Report) -> T:
        reports, received = anyio.create_memory_object_stream[tuple[float, str]](MAX_REPORTS)
        outcome: Future[T] = Future()  # the task group would wrap an error of the call in a group

        def progress(fraction: float, message: str) -> None:
            from_thread.check_cancelled()
            with suppress(anyio.WouldBlock):  # the client reads slowly, which must not delay the call
                from_thread.run_sync(reports.send_nowait, (fraction, message))

        def run_call() -> None:
            try:
                outcome.set_result(call(progress))
            except Exception as error:
                outcome.set_exception(error)

        async def send_reports() -> None:
            async for fraction, message in received:
                await report(fraction, message)

        async with received, anyio.create_task_group() as tasks:
            tasks.start_soon(send_reports)
            async with reports:
                await to_thread.run_sync(run_call, limiter=self._threads)
        return outcome.result()
