"""The page's server: what a browser may ask for, and what it is given."""

import json
import logging
import mimetypes
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from langchain_videochat.app.chat import Asked, Chat, read_history
from langchain_videochat.app.collection import Collection
from langchain_videochat.app.guard import Guard
from langchain_videochat.app.jobs import IndexJobs
from langchain_videochat.app.uploads import TooLargeError, receive
from langchain_videochat.errors import InputError, MediaError, SourceError, VideoChatError
from langchain_videochat.text.llms import model_errors

PAGE = Path(__file__).parent / "page"

LOCAL = ("localhost", "127.0.0.1")
"""Names by which only this machine is reached."""

MAX_UPLOAD = 2 * 1000**3
"""Bytes of a video that is sent: an hour or two of 1080p."""

MAX_QUESTION = 20_000
"""Letters of a question: some pages."""

STATUS = {TooLargeError: 413, SourceError: 404, MediaError: 415, InputError: 400}
"""Of HTTP, for each kind of error."""

_LOG = logging.getLogger(__name__)


class Question(BaseModel):
    """What the page sends to ask."""

    question: str = Field(min_length=1, max_length=MAX_QUESTION)
    """What is asked."""

    model: str
    """Which model is asked, by its name on the page."""

    history: list[tuple[str, str]] = []
    """Questions and answers before it."""

    video_id: str | None = None
    """The video it is about; all if None."""


def create_app(
    collection: Collection,
    chats: Mapping[str, Chat],
    *,
    profile: str = "standard",
    password: str | None = None,
    hosts: tuple[str, ...] = LOCAL,
    max_upload: int = MAX_UPLOAD,
) -> Starlette:
    """Make the page's server, for uvicorn or any other that speaks ASGI.

    Args:
        collection: The videos.
        chats: Who answers questions, by the names that the page shows.
        profile: Which perception models look at what is sent.
        password: What the browser asks for, under any user's name; nothing if None.
        hosts: Names under which the server may be reached; "*" for any.
        max_upload: Bytes of a video that is sent, at most.

    Raises:
        InputError: The folder for uploads cannot be made.

    Example:
        Serve a store, with one model to ask:

            store = VideoTimelineStore("index")
            app = create_app(Collection(store, Path(".")), {"qwen3": TimelineChat(llm, store)})
            uvicorn.run(app)
    """
    try:
        collection.uploads.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(collection.uploads, f"cannot be made ({error.strerror})", "Choose another folder") from error
    jobs = IndexJobs(collection.store, profile)
    jobs.add_missing(collection.uploads)
    return Starlette(
        routes=_Routes(collection, jobs, chats, max_upload).all(),
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts)),
            Middleware(Guard, password=password),
        ],
        exception_handlers={VideoChatError: _tell_error, ValidationError: _tell_misunderstanding},
    )


@dataclass(frozen=True)
class _Routes:
    """What a browser may ask for. What is not async, Starlette answers in other threads."""

    collection: Collection
    jobs: IndexJobs
    chats: Mapping[str, Chat]
    max_upload: int

    def all(self) -> list[BaseRoute]:
        return [
            Route("/", self.page),
            Mount("/page", StaticFiles(directory=PAGE)),
            Route("/api/state", self.state),
            Route("/api/search", self.search),
            Route("/api/uploads/{name}", self.upload, methods=["PUT"]),
            Route("/api/chat", self.chat, methods=["POST"]),
            Route("/api/videos/{video_id}", self.remove, methods=["DELETE"]),
            Route("/api/videos/{video_id}/lanes", self.lanes),
            Route("/api/videos/{video_id}/file", self.file),
            Route("/api/videos/{video_id}/still", self.still),
        ]

    def page(self, request: Request) -> Response:
        return FileResponse(PAGE / "index.html")

    def state(self, request: Request) -> Response:
        jobs = [asdict(job) for job in self.jobs.all()]
        # Whoever sees a job done finds its video: the jobs are read first.
        videos = self.collection.videos()
        return JSONResponse({"videos": videos, "jobs": jobs, "models": list(self.chats), "max_upload": self.max_upload})

    def search(self, request: Request) -> Response:
        query = request.query_params
        return JSONResponse(self.collection.search(query.get("query", ""), query.get("video_id") or None))

    async def upload(self, request: Request) -> Response:
        try:
            path = await receive(
                request.stream(), request.path_params["name"], self.collection.uploads, self.max_upload
            )
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        return JSONResponse(asdict(self.jobs.add(path)), 201)

    def remove(self, request: Request) -> Response:
        self.collection.remove(request.path_params["video_id"])
        return Response(status_code=204)

    def lanes(self, request: Request) -> Response:
        return JSONResponse(self.collection.lanes(request.path_params["video_id"]))

    def file(self, request: Request) -> Response:
        path = self.collection.path(request.path_params["video_id"])
        kind = mimetypes.guess_type(path.name)[0] or ""
        # Whatever a file is called, a browser is not to take it for a page.
        return FileResponse(path, media_type=kind if kind.startswith("video/") else "video/mp4")

    def still(self, request: Request) -> Response:
        jpeg = self.collection.still(request.path_params["video_id"], _number(request.query_params.get("time", "0")))
        return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=86400"})

    async def chat(self, request: Request) -> Response:
        question = Question.model_validate_json(await request.body())
        chat = self.chats.get(question.model)
        if chat is None:
            raise InputError("model", f"{question.model!r} is not offered", "Reload the page, and choose another")
        asked = Asked(question.question, read_history(question.history), question.video_id)
        return StreamingResponse(_lines(chat, asked), media_type="application/x-ndjson")


def _lines(chat: Chat, asked: Asked) -> Iterator[str]:
    """Write the parts of an answer as lines of JSON; where it fails half-way, the last one tells why."""
    try:
        with model_errors():
            for part in chat.answer(asked):
                yield json.dumps(part) + "\n"
    except VideoChatError as error:
        _LOG.warning("A question was not answered: %s", error)
        yield json.dumps({"error": str(error)}) + "\n"


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError("time", f"{text!r} is no number", "Give seconds") from error


def _tell_error(request: Request, error: Exception) -> Response:
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)
    return JSONResponse({"error": str(error)}, status)


def _tell_misunderstanding(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"The request is not understood: {error}"}, 400)
