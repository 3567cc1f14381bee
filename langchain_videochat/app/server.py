"""The page's HTTP server."""

import json
import logging
import mimetypes
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, cast

import anyio
from anyio import to_thread
from pydantic import BaseModel, Field, ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from langchain_videochat.app.answer_stream import AnswerResponse
from langchain_videochat.app.chat import Chat, ChatQuestion, to_messages
from langchain_videochat.app.collection import Collection
from langchain_videochat.app.jobs import IndexJobs
from langchain_videochat.app.login import Login
from langchain_videochat.app.security import LOCAL_HOSTS, SecurityMiddleware
from langchain_videochat.app.uploads import MAX_UPLOADS, BusyError, TooLargeError, remove_incomplete, save_upload
from langchain_videochat.errors import InputError, MediaError, SourceError, VideoChatError

PAGE = Path(__file__).parent / "page"

MAX_UPLOAD = 2 * 1000**3
"""Bytes of an upload: one or two hours of 1080p."""

MAX_QUESTION = 20_000
"""Characters of a question: several pages."""

MAX_ANSWER = 100_000
"""Characters of a previous answer."""

MAX_TURNS = 100
"""Previous questions that a chat request may contain."""

MAX_NAME = 500
"""Characters of the name of a chat backend, and of the id of a video."""

MAX_BODY = 1_000_000
"""Bytes of the body of a chat request."""

MAX_PICTURE = 20_000_000
"""Bytes of a picture to search for: more than cameras write."""

MAX_CHATS = 16
"""Answers that are generated at the same time; others wait. They must not use up the threads of other requests."""

MAX_REPORTED_ERRORS = 3
"""Fields of an invalid request that the response names."""

STATUS_CODES = {TooLargeError: 413, SourceError: 404, MediaError: 415, InputError: 400, BusyError: 503}
"""HTTP status code of each kind of error."""

_LOG = logging.getLogger(__name__)

Turn = tuple[Annotated[str, Field(max_length=MAX_QUESTION)], Annotated[str, Field(max_length=MAX_ANSWER)]]
"""A previous question and its answer."""


class ChatRequest(BaseModel):
    """The body of a chat request."""

    question: str = Field(min_length=1, max_length=MAX_QUESTION)
    model: str = Field(max_length=MAX_NAME)
    """Name of the chat backend."""

    # The page keeps the conversation: it survives a restart of the server, and tabs are independent.
    history: list[Turn] = Field(default=[], max_length=MAX_TURNS)
    """Previous questions and answers."""

    video_id: str | None = Field(default=None, max_length=MAX_NAME)
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
    """Create the page's ASGI app.

    Any ASGI server can serve it. `videochat app` adds limits on connections, which an app cannot enforce.

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
    remove_incomplete(collection.uploads)
    jobs = IndexJobs(collection.store, profile, collection.uploads)
    jobs.add_missing()
    return Starlette(
        routes=_Routes(collection, jobs, chats, max_upload).all(),
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts)),
            Middleware(SecurityMiddleware, login=None if password is None else Login(password)),
        ],
        exception_handlers={
            VideoChatError: _error_response,
            ValidationError: _validation_error_response,
            ClientDisconnect: _disconnect_response,
        },
    )


class _Json(JSONResponse):
    """A JSON response; bytes of file names that are not UTF-8 become question marks."""

    def render(self, content: Any) -> bytes:
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode("utf-8", "replace")


class _Routes:
    """The route handlers. Starlette runs those that are not async in threads."""

    def __init__(self, collection: Collection, jobs: IndexJobs, chats: Mapping[str, Chat], max_upload: int) -> None:
        self.collection = collection
        self.jobs = jobs
        self.chats = chats
        self.max_upload = max_upload
        self.upload_slots = anyio.Semaphore(MAX_UPLOADS)
        self.chat_threads = anyio.CapacityLimiter(MAX_CHATS)

    def all(self) -> list[BaseRoute]:
        return [
            Route("/", self.page),
            Mount("/page", StaticFiles(directory=PAGE)),
            Route("/api/state", self.state),
            Route("/api/search", self.search),
            Route("/api/search", self.search_picture, methods=["POST"]),
            Route("/api/uploads/{name}", self.upload, methods=["PUT"]),
            Route("/api/chat", self.chat, methods=["POST"]),
            Route("/api/videos/{video_id}", self.remove, methods=["DELETE"]),
            Route("/api/videos/{video_id}/lanes", self.lanes),
            Route("/api/videos/{video_id}/file", self.file),
            Route("/api/videos/{video_id}/thumbnail", self.thumbnail),
            Route("/api/videos/{video_id}/similar", self.similar),
        ]

    def page(self, request: Request) -> Response:
        return FileResponse(PAGE / "index.html")

    def state(self, request: Request) -> Response:
        # Jobs are read before videos, so that the video of every job that is done is included.
        jobs = [asdict(job) for job in self.jobs.all()]
        videos = self.collection.videos()
        return _Json({"videos": videos, "jobs": jobs, "models": list(self.chats), "max_upload": self.max_upload})

    def search(self, request: Request) -> Response:
        query = request.query_params
        return _Json(self.collection.search(query.get("query", ""), query.get("video_id") or None))

    async def search_picture(self, request: Request) -> Response:
        picture = await _read_body(request, "picture", MAX_PICTURE, "Scale it down")
        video_id = request.query_params.get("video_id") or None
        return _Json(await to_thread.run_sync(self.collection.search_picture, picture, video_id))

    def similar(self, request: Request) -> Response:
        query = request.query_params
        frame = request.path_params["video_id"], _parse_time(query.get("time", "0"))
        return _Json(self.collection.search_similar(frame, query.get("video_id") or None))

    async def upload(self, request: Request) -> Response:
        name = request.path_params["name"]
        if self.jobs.is_full:
            raise BusyError(name, "too many videos are waiting to be indexed", "Upload it when some are done")
        try:
            self.upload_slots.acquire_nowait()
        except anyio.WouldBlock as error:
            raise BusyError(name, "too many uploads at the same time", "Upload it when some are done") from error
        try:
            path = await save_upload(request.stream(), name, self.collection.uploads, self.max_upload)
        finally:
            self.upload_slots.release()
        return _Json(asdict(self.jobs.add(path)), 201)

    def remove(self, request: Request) -> Response:
        self.collection.remove(request.path_params["video_id"])
        return Response(status_code=204)

    def lanes(self, request: Request) -> Response:
        return _Json(self.collection.lanes(request.path_params["video_id"]))

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
        body = ChatRequest.model_validate_json(
            await _read_body(request, "conversation", MAX_BODY, "Clear it and ask again")
        )
        chat = self.chats.get(body.model)
        if chat is None:
            raise InputError("model", f"{body.model!r} is not available", "Reload the page and choose another model")
        question = ChatQuestion(body.question, to_messages(body.history), body.video_id)
        return AnswerResponse(chat, question, self.chat_threads)


async def _read_body(request: Request, name: str, limit: int, advice: str) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise TooLargeError(name, f"is larger than {limit / 1e6:.0f} MB", advice)
    return bytes(body)


def _parse_time(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError("time", f"must be a number of seconds, got {text!r}", "Reload the page") from error


def _error_response(request: Request, error: Exception) -> Response:
    status = next((code for kind, code in STATUS_CODES.items() if isinstance(error, kind)), 500)
    return _Json({"error": str(error)}, status)


def _validation_error_response(request: Request, error: Exception) -> Response:
    # The input and the list of errors may be long.
    errors = cast(ValidationError, error).errors(include_url=False, include_context=False, include_input=False)
    problems = [": ".join([*map(str, one["loc"]), one["msg"]]) for one in errors[:MAX_REPORTED_ERRORS]]
    return _Json({"error": f"Invalid request: {'; '.join(problems)}"}, 400)


def _disconnect_response(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # nobody reads it
