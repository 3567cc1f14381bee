"""The page's HTTP server."""

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

from langchain_videochat.app.chat import Chat, ChatQuestion, to_messages
from langchain_videochat.app.collection import Collection
from langchain_videochat.app.jobs import IndexJobs
from langchain_videochat.app.security import SecurityMiddleware
from langchain_videochat.app.uploads import TooLargeError, save_upload
from langchain_videochat.errors import InputError, MediaError, SourceError, VideoChatError
from langchain_videochat.text.llms import model_errors

PAGE = Path(__file__).parent / "page"

LOCAL_HOSTS = ("localhost", "127.0.0.1")

MAX_UPLOAD = 2 * 1000**3
"""Bytes of an upload: one or two hours of 1080p."""

MAX_QUESTION = 20_000
"""Characters of a question: several pages."""

STATUS_CODES = {TooLargeError: 413, SourceError: 404, MediaError: 415, InputError: 400}
"""HTTP status code of each kind of error."""

_LOG = logging.getLogger(__name__)


class ChatRequest(BaseModel):
    """The body of a chat request."""

    question: str = Field(min_length=1, max_length=MAX_QUESTION)
    model: str
    """Name of the chat backend."""

    # The page keeps the conversation: it survives a restart of the server, and tabs are independent.
    history: list[tuple[str, str]] = []
    """Previous questions and answers."""

    video_id: str | None = None
    """The video to ask about; all videos if None."""


def create_app(
    collection: Collection,
    chats: Mapping[str, Chat],
    *,
    profile: str = "standard",
    password: str | None = None,
    hosts: tuple[str, ...] = LOCAL_HOSTS,
    max_upload: int = MAX_UPLOAD,
) -> Starlette:
    """Create the page's ASGI app, to be served by uvicorn, for example.

    Args:
        collection: The videos.
        chats: Chat backends by the names that the page shows.
        profile: Perception profile for uploads.
        password: HTTP password (any user name); no authentication if None.
        hosts: Host names that requests may use; "*" allows any.
        max_upload: Maximum size of an upload in bytes.

    Raises:
        InputError: The folder for uploads cannot be created.

    Example:
        Serve a store, with one chat model:

            store = VideoTimelineStore("index")
            app = create_app(Collection(store, Path(".")), {"qwen3": TimelineChat(llm, store)})
            uvicorn.run(app)
    """
    try:
        collection.uploads.mkdir(exist_ok=True)
    except OSError as error:
        problem = f"cannot be created ({error.strerror})"
        raise InputError(collection.uploads, problem, "Choose another folder") from error
    jobs = IndexJobs(collection.store, profile)
    jobs.add_missing(collection.uploads)
    return Starlette(
        routes=_Routes(collection, jobs, chats, max_upload).all(),
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts)),
            Middleware(SecurityMiddleware, password=password),
        ],
        exception_handlers={VideoChatError: _error_response, ValidationError: _validation_error_response},
    )


@dataclass(frozen=True)
class _Routes:
    """The route handlers. Starlette runs those that are not async in threads."""

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
            Route("/api/videos/{video_id}/thumbnail", self.thumbnail),
        ]

    def page(self, request: Request) -> Response:
        return FileResponse(PAGE / "index.html")

    def state(self, request: Request) -> Response:
        # Jobs are read before videos, so that the video of every job that is done is included.
        jobs = [asdict(job) for job in self.jobs.all()]
        videos = self.collection.videos()
        return JSONResponse({"videos": videos, "jobs": jobs, "models": list(self.chats), "max_upload": self.max_upload})

    def search(self, request: Request) -> Response:
        query = request.query_params
        return JSONResponse(self.collection.search(query.get("query", ""), query.get("video_id") or None))

    async def upload(self, request: Request) -> Response:
        name = request.path_params["name"]
        try:
            path = await save_upload(request.stream(), name, self.collection.uploads, self.max_upload)
        except ClientDisconnect:
            return Response(status_code=400)
        return JSONResponse(asdict(self.jobs.add(path)), 201)

    def remove(self, request: Request) -> Response:
        self.collection.remove(request.path_params["video_id"])
        return Response(status_code=204)

    def lanes(self, request: Request) -> Response:
        return JSONResponse(self.collection.lanes(request.path_params["video_id"]))

    def file(self, request: Request) -> Response:
        path = self.collection.path(request.path_params["video_id"])
        kind = mimetypes.guess_type(path.name)[0] or ""
        # Never HTML, whatever the file is called.
        return FileResponse(path, media_type=kind if kind.startswith("video/") else "video/mp4")

    def thumbnail(self, request: Request) -> Response:
        time = _parse_time(request.query_params.get("time", "0"))
        jpeg = self.collection.thumbnail(request.path_params["video_id"], time)
        return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=86400"})

    async def chat(self, request: Request) -> Response:
        body = ChatRequest.model_validate_json(await request.body())
        chat = self.chats.get(body.model)
        if chat is None:
            raise InputError("model", f"{body.model!r} is not available", "Reload the page and choose another model")
        question = ChatQuestion(body.question, to_messages(body.history), body.video_id)
        return StreamingResponse(_stream_answer(chat, question), media_type="application/x-ndjson")


def _stream_answer(chat: Chat, question: ChatQuestion) -> Iterator[str]:
    """Yield the parts of an answer as JSON Lines; if it fails midway, the last line has the error."""
    try:
        with model_errors():
            for part in chat.answer(question):
                yield json.dumps(part) + "\n"
    except VideoChatError as error:
        _LOG.warning("Chat failed: %s", error)
        yield json.dumps({"error": str(error)}) + "\n"


def _parse_time(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError("time", f"must be a number of seconds, got {text!r}", "Reload the page") from error


def _error_response(request: Request, error: Exception) -> Response:
    status = next((code for kind, code in STATUS_CODES.items() if isinstance(error, kind)), 500)
    return JSONResponse({"error": str(error)}, status)


def _validation_error_response(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"Invalid request: {error}"}, 400)
