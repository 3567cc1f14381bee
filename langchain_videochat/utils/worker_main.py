"""The program of a worker process: it runs functions within limits, see `worker_process`."""

import faulthandler
import logging
import os
import pickle
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import IO

from langchain_videochat.errors import MediaError, VideoChatError
from langchain_videochat.utils.worker_process import Message, Request, limit_memory


class Worker:
    """Answers requests. The first argument of each is a file, or names one.

    Args:
        responses: The stream to which messages are written.
        max_bytes: Bytes of memory that the process may allocate.
    """

    def __init__(self, responses: IO[bytes], max_bytes: int) -> None:
        self._responses = responses
        self._max_bytes = max_bytes
        self._seconds = 0.0
        self._nowhere = open(os.devnull, "w")  # noqa: SIM115 - open as long as the process

    def answer(self, request: Request) -> None:
        """Run the requested function, and send its results."""
        self._seconds = request.seconds
        self._start_step()
        subject = next(iter(request.arguments.values()))
        advice = "The file may be damaged: export it again"
        try:
            for message in self._run(request):
                self._send(message)
        except VideoChatError as error:
            self._send(("error", error))
        except MemoryError:
            problem = f"decoding it takes over {self._max_bytes / 2**20:,.0f} MiB of memory"
            self._send(("error", MediaError(subject, problem, advice)))
        except Exception as error:  # whatever a library raises for a hostile file
            problem = f"cannot be decoded ({type(error).__name__}: {error})"
            self._send(("error", MediaError(subject, problem, advice)))
        faulthandler.cancel_dump_traceback_later()

    def _run(self, request: Request) -> Iterator[Message]:
        with suppress(OSError):  # it was deleted; absolute paths still work
            os.chdir(request.directory)
        function = getattr(import_module(request.module), request.function)
        callbacks = {name: partial(self._report, name) for name in request.callbacks}
        result = function(**request.arguments, **callbacks)
        if isinstance(result, Iterator):
            yield "iterator", None
            yield from (("item", item) for item in result)
        else:
            yield "value", result
        yield "end", None

    def _report(self, name: str, *arguments: object) -> None:
        self._send(("call", (name, arguments)))

    def _send(self, message: Message) -> None:
        # This may block until the parent process has read earlier messages, which does not count.
        faulthandler.cancel_dump_traceback_later()
        pickle.dump(message, self._responses, pickle.HIGHEST_PROTOCOL)
        self._responses.flush()
        self._start_step()

    def _start_step(self) -> None:
        # A thread of the interpreter, which doesn't need its lock, ends the process with status 1.
        faulthandler.dump_traceback_later(self._seconds, exit=True, file=self._nowhere)


def main() -> None:
    """Answer requests on the standard input until it is closed."""
    responses = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # libraries may print; nothing else may be mixed with the messages
    logging.getLogger().addHandler(logging.NullHandler())
    max_bytes = int(sys.argv[1])
    limit_memory(max_bytes)
    worker = Worker(responses, max_bytes)
    with suppress(EOFError, BrokenPipeError):
        while True:
            worker.answer(pickle.load(sys.stdin.buffer))  # noqa: S301 - from the parent process


if __name__ == "__main__":
    main()
