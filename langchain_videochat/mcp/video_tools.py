"""The tools of the toolkit and the store that they work on, opened when they are first used."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from langchain_videochat.errors import SourceError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import ToolMessage
    from langchain_core.tools import BaseTool

    from langchain_videochat.store import VideoTimelineStore

T = TypeVar("T")


class VideoTools:
    """The agents' tools for MCP: those of `VideoChatToolkit`, and `write_report`.

    Creating it loads nothing, so that an MCP server starts quickly.

    Args:
        open_store: Opens the store, when a tool is first called. If it fails, the next call tries again.
        open_model: Opens the model of the tool `ask_video`, as in `VideoChatToolkit`; None to omit the tool.
        profile: Perception models of the tool `index_video`.
        allow_urls: Whether videos may be downloaded.

    Example:
        >>> from langchain_videochat import VideoTimelineStore
        >>> tools = VideoTools(VideoTimelineStore)
        >>> tools.call("list_videos", {}, folders=()).content
        'No videos are stored yet.'
    """

    def __init__(
        self,
        open_store: "Callable[[], VideoTimelineStore]",
        *,
        open_model: "Callable[[], BaseChatModel] | None" = None,
        profile: str = "standard",
        allow_urls: bool = False,
    ) -> None:
        self._store = _Once(open_store)
        self._model = None if open_model is None else _Once(open_model)
        self._profile = profile
        self._allow_urls = allow_urls
        self._indexing: dict[str, float] = {}

    @property
    def store(self) -> "VideoTimelineStore":
        """The videos."""
        return self._store.get()

    @property
    def has_model(self) -> bool:
        """Whether there is a model for the tool `ask_video`."""
        return self._model is not None

    def indexing(self) -> dict[str, float]:
        """Return the files that are being indexed, each with its progress, 0 to 1."""
        return self._indexing.copy()

    def call(
        self,
        name: str,
        arguments: dict[str, Any],
        folders: tuple[Path, ...],
        progress: Callable[[float, str], None] = lambda *_: None,
    ) -> "ToolMessage":
        """Call a tool.

        Args:
            name: Its name.
            arguments: Its arguments, from a language model.
            folders: The folders that it may access. Relative paths are in the first one.
            progress: Called with the progress, 0 to 1, and a message. An error that it raises stops the tool.

        Returns:
            The result, or an error for the language model.

        Raises:
            SourceError: The tool needs a folder, and there is none.
            VideoChatError: The store or the model cannot be opened.
        """
        from langchain_core.messages import ToolCall

        from langchain_videochat.text.tools.base import progress_listener

        tool = self._find(name, folders)
        with self._followed(name, arguments, progress) as listener, progress_listener(listener):
            message: ToolMessage = tool.invoke(ToolCall(name=name, args=arguments, id=name, type="tool_call"))
            return message

    def _find(self, name: str, folders: tuple[Path, ...]) -> "BaseTool":
        from langchain_videochat.mcp.write_report import WriteReportTool
        from langchain_videochat.text.agent_files import AgentFiles
        from langchain_videochat.text.toolkit import VideoChatToolkit

        root, *more = folders or (None,)
        more_dirs = tuple(one for one in more if one is not None)
        if name == "write_report" and root is not None:
            return WriteReportTool(store=self.store, files=AgentFiles(root, self._allow_urls, more_roots=more_dirs))
        toolkit = VideoChatToolkit(
            store=self.store,
            model=self._model.get() if self._model is not None and name == "ask_video" else None,
            root_dir=root,
            more_dirs=more_dirs,
            profile=self._profile,
            allow_urls=self._allow_urls,
        )
        for tool in toolkit.get_tools():
            if tool.name == name:
                return tool
        raise SourceError(name, "you cannot access any files", "Tell the user to start this server with --folder")

    @contextmanager
    def _followed(
        self, name: str, arguments: dict[str, Any], progress: Callable[[float, str], None]
    ) -> Iterator[Callable[[float, str], None]]:
        """Keep account of the progress of a video that is being indexed."""
        if name != "index_video":
            yield progress
            return
        source = str(arguments.get("source"))

        def listen(fraction: float, message: str) -> None:
            self._indexing[source] = fraction
            progress(fraction, message)

        try:
            yield listen
        finally:
            self._indexing.pop(source, None)


class _Once(Generic[T]):
    """A value that is created when it is first used, by one thread; an error is not kept."""

    def __init__(self, create: Callable[[], T]) -> None:
        self._create = create
        self._created: list[T] = []
        self._lock = threading.Lock()

    def get(self) -> T:
        with self._lock:
            if not self._created:
                self._created.append(self._create())
            return self._created[0]
