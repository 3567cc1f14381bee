"""Middleware for agents: videos in messages become text that the agent reads, searches and cites."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any, NotRequired, cast

from langchain.agents.middleware import (
    AgentMiddleware,
    AgentState,
    ModelCallResult,
    ModelRequest,
    ModelResponse,
    Runtime,
    ToolCallRequest,
)
from langchain.agents.middleware.types import ContextT, PrivateStateAttr, ResponseT
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, SystemMessage, ToolMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.runnables.config import run_in_executor
from langgraph.types import Command
from typing_extensions import override

from langchain_videochat.errors import InputError
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.text.agent_files import AgentFiles
from langchain_videochat.text.attachment_indexer import AttachmentIndexer
from langchain_videochat.text.attachments import (
    Attachment,
    attached_videos,
    is_named_as_video,
    message_id,
    named_videos,
)
from langchain_videochat.text.context_budget import ContextBudget, CountTokens
from langchain_videochat.text.toolkit import VideoChatToolkit
from langchain_videochat.text.video_overviews import VideoOverview
from langchain_videochat.utils.untrusted_text import ABOUT_NOTES

__all__ = ["VideoMiddleware"]

MAX_TOKENS = 32_000
"""Tokens of messages: a quarter of the context of most models. A short conversation stays as it is."""

SYSTEM_PROMPT = f"""\
You cannot play videos: in this conversation, a timeline takes the place of each video, and tools return more of it. \
{ABOUT_NOTES} When you state what a video shows, cite where: copy the address of the video and the #t= of the moment \
from a timeline or a result, for example file:///films/yoga.mp4#t=3,7. Older results and timelines are shortened: call \
the tool again if you need them."""

count_tokens_of_messages: CountTokens = partial(count_tokens_approximately, chars_per_token=3.0, tokens_per_image=800)
"""Estimates tokens. Citations and on-screen text have about three characters a token, and a frame takes 250 to 1,100,
depending on the model."""


class VideoState(AgentState[ResponseT]):
    """The state of an agent with `VideoMiddleware`."""

    video_overviews: NotRequired[Annotated[dict[str, VideoOverview], PrivateStateAttr]]
    """What takes the place of each video, by message and position."""


class VideoMiddleware(AgentMiddleware[VideoState[ResponseT], ContextT, ResponseT]):
    """Lets any agent work with videos: in its messages, a short timeline with citations takes the place of a video.

    The agent also gets the tools of `VideoChatToolkit`, to search the videos, read more of them and view frames.

    - A video in a message of the user or a tool (a content block with a URL, a path or base64 data) is indexed if it
      is not stored yet. So is a video file that a tool's result names, if it names only one. Progress is streamed in
      mode "custom", as by the tool `index_video`. A file that is outside `root_dir` or cannot be read is replaced by
      an explanation for the model.
    - When the messages exceed `max_tokens`, older frames are replaced by the notes around their times, then older tool
      results and timelines by their citations; then older tool calls are left out. Messages written by users and the
      model are never shortened: to do that, add `SummarizationMiddleware` after this one.
    - Only the model's request changes. The state keeps all messages as they were.
    - In deepagents, `read_file` of a video below `root_dir` returns its timeline instead of frames. `root_dir`, not
      the permissions of deepagents, decides which videos may be read.

    Args:
        store: The videos, and where new ones are added.
        root_dir: The only folder to read and write: adds the tools `index_video` and `cut_clip`, and keeps videos that
            come as base64 data. If None, only the files of stored videos are opened.
        model: A chat model that takes video input: adds the tool `ask_video`.
        profile: Perception models for new videos: "lite" (no downloads), "talk", "standard", "full", or a YAML file.
        images: Whether the agent's model takes images; if not, `view_frames` returns the notes around each time.
        allow_urls: Whether videos may be downloaded from http and https URLs, as in `VideoChatToolkit`.
        max_tokens: Tokens of the messages of a request. The newest result of a tool is sent even if it has more.
        token_counter: Counts the tokens of messages; estimated if None. `model.get_num_tokens_from_messages` is exact
            for models that count tokens without a request to their provider.

    Raises:
        InputError: `root_dir` is not a folder, or `max_tokens` is not positive.

    Example:
        An agent that gets a video from the user:

            agent = create_agent(model, middleware=[VideoMiddleware(store, root_dir="videos")])
            video = {"type": "video", "url": "file:///films/eggs.mp4"}
            question = {"type": "text", "text": "When are the eggs whisked?"}
            agent.invoke({"messages": [HumanMessage([video, question])]})

        Without a folder, the videos of the store can be searched, read and viewed:

        >>> from langchain_videochat import VideoTimelineStore
        >>> [tool.name for tool in VideoMiddleware(VideoTimelineStore()).tools]
        ['list_videos', 'search_videos', 'video_chat_text', 'view_frames']
    """

    state_schema = VideoState  # type: ignore[assignment]

    def __init__(
        self,
        store: VideoTimelineStore,
        *,
        root_dir: str | Path | None = None,
        model: BaseChatModel | None = None,
        profile: str | Path = "standard",
        images: bool = True,
        allow_urls: bool = False,
        max_tokens: int = MAX_TOKENS,
        token_counter: CountTokens | None = None,
    ) -> None:
        super().__init__()
        if max_tokens <= 0:
            raise InputError("max_tokens", f"must be positive, got {max_tokens}", "Give a number of tokens")
        root = None if root_dir is None else Path(root_dir)
        toolkit = VideoChatToolkit(
            store=store, model=model, root_dir=root, profile=profile, images=images, allow_urls=allow_urls
        )
        self.tools = toolkit.get_tools()
        self._names = frozenset(tool.name for tool in self.tools)
        self._indexer = AttachmentIndexer(store, AgentFiles(root, allow_urls), profile)
        self._count_tokens = token_counter or count_tokens_of_messages
        self._budget = ContextBudget(store, self._names, max_tokens, self._count_tokens)

    @override
    def before_model(self, state: VideoState[ResponseT], runtime: Runtime[ContextT]) -> dict[str, Any] | None:
        """Index the videos of new messages, and keep their overviews in the state."""
        known = state.get("video_overviews", {})
        ids = {message.id for message in state["messages"]}
        overviews = {key: overview for key, overview in known.items() if message_id(key) in ids}
        for key, attachment in self._find_attachments(state["messages"]):
            if key not in overviews:
                overviews[key] = self._indexer.overview(key, attachment)
        return None if overviews == known else {"video_overviews": overviews}

    @override
    async def abefore_model(self, state: VideoState[ResponseT], runtime: Runtime[ContextT]) -> dict[str, Any] | None:
        """Index the videos of new messages in another thread, and keep their overviews in the state."""
        return await run_in_executor(None, self.before_model, state, runtime)

    @override
    def wrap_model_call(
        self,
        request: ModelRequest[ContextT],
        handler: Callable[[ModelRequest[ContextT]], ModelResponse[ResponseT]],
    ) -> ModelCallResult[ResponseT]:
        """Replace the videos in the request by text, within the budget."""
        return handler(self._with_text(request))

    @override
    async def awrap_model_call(
        self,
        request: ModelRequest[ContextT],
        handler: Callable[[ModelRequest[ContextT]], Awaitable[ModelResponse[ResponseT]]],
    ) -> ModelCallResult[ResponseT]:
        """Replace the videos in the request by text, within the budget."""
        return await handler(await run_in_executor(None, self._with_text, request))

    @override
    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]]
    ) -> ToolMessage | Command[Any]:
        """Let `read_file` return the path of a video, which then becomes its timeline."""
        return self._read_file(request) or handler(request)

    @override
    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]]
    ) -> ToolMessage | Command[Any]:
        """Let `read_file` return the path of a video, which then becomes its timeline."""
        return await run_in_executor(None, self._read_file, request) or await handler(request)

    def _find_attachments(self, messages: Sequence[AnyMessage]) -> Iterator[tuple[str, Attachment]]:
        for message in messages:
            yield from attached_videos(message)
        # A path is looked up once, when it is new: the file may be moved or deleted later.
        for message in takewhile(lambda one: not isinstance(one, AIMessage), reversed(messages)):
            # Results of these tools are timelines already.
            if isinstance(message, ToolMessage) and message.name not in self._names:
                yield from named_videos(message, self._indexer.resolve)

    def _with_text(self, request: ModelRequest[ContextT]) -> ModelRequest[ContextT]:
        before = request.system_message.content_blocks if request.system_message is not None else []
        text = f"\n\n{SYSTEM_PROMPT}" if before else SYSTEM_PROMPT
        system = SystemMessage(content_blocks=[*before, {"type": "text", "text": text}])
        overviews = cast("VideoState[Any]", request.state).get("video_overviews", {})
        messages = self._budget.fit(request.messages, overviews, used=self._count_tokens([system]))
        return request.override(messages=messages, system_message=system)

    def _read_file(self, request: ToolCallRequest) -> ToolMessage | None:
        # Backends of deepagents can return a video as data only, of which read_file then takes frames.
        call = request.tool_call
        path = call["args"].get("file_path") if call["name"] == "read_file" else None
        source = self._indexer.resolve(path) if isinstance(path, str) and is_named_as_video(path) else None
        return None if source is None else ToolMessage(source, name="read_file", tool_call_id=call["id"])
