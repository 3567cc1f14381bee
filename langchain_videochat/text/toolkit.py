"""The tools of an agent that works with videos."""

from pathlib import Path

from langchain_core.language_models import BaseChatModel
from langchain_core.tools import BaseTool, BaseToolkit
from pydantic import ConfigDict, SkipValidation

from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.text.agent_files import AgentFiles
from langchain_videochat.text.tools import (
    AskVideoTool,
    CutClipTool,
    IndexVideoTool,
    ListVideosTool,
    SearchVideosTool,
    VideoChatTextTool,
    ViewFramesTool,
)


class VideoChatToolkit(BaseToolkit):
    """Tools for an agent over a store of videos: search them, read and view their moments, cut clips.

    All tools work synchronously and asynchronously, report progress in a graph, and return errors with advice for the
    model. Text from videos is marked as data. Files are accessed below `root_dir` only.

    Example:
        An agent that views the videos of a folder and indexes new ones:

            toolkit = VideoChatToolkit(store=store, root_dir="videos")
            agent = create_agent(model, toolkit.get_tools())
            agent.invoke({"messages": "Where are the eggs whisked? Cut that out."})

        Without a folder, it can search, read and view, but not write:

        >>> from langchain_videochat import VideoTimelineStore
        >>> [tool.name for tool in VideoChatToolkit(store=VideoTimelineStore()).get_tools()]
        ['list_videos', 'search_videos', 'video_chat_text', 'view_frames']
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    store: SkipValidation[VideoTimelineStore]
    """The videos to work with."""

    model: SkipValidation[BaseChatModel] | None = None
    """A chat model that takes video input, such as VideoChatEmbed: adds the tool `ask_video`. The other tools need no
    model, because the agent's own reads what they return."""

    root_dir: Path | None = None
    """The only folder to read and write: adds the tools `index_video` and `cut_clip`. If None, nothing is written, and
    stored videos are read wherever they are."""

    profile: str | Path = "standard"
    """Perception models of `index_video`: "lite" (no downloads), "talk", "standard", "full", or a YAML file."""

    images: bool = True
    """Whether the agent's model takes images; if not, `view_frames` returns the notes around each time."""

    allow_urls: bool = False
    """Whether videos may be downloaded from http and https URLs: each at most 2 GiB in ten minutes, and never from a
    private network."""

    def get_tools(self) -> list[BaseTool]:
        """Create the tools.

        Raises:
            InputError: `root_dir` is not a folder.
        """
        files = AgentFiles(self.root_dir, self.allow_urls)
        tools: list[BaseTool] = [
            ListVideosTool(store=self.store),
            SearchVideosTool(store=self.store, files=files),
            VideoChatTextTool(store=self.store),
            ViewFramesTool(store=self.store, files=files, images=self.images),
        ]
        if self.model is not None:
            tools.append(AskVideoTool(store=self.store, model=self.model, files=files))
        if self.root_dir is not None:
            tools.append(IndexVideoTool(store=self.store, files=files, profile=self.profile))
            tools.append(CutClipTool(store=self.store, files=files))
        return tools
