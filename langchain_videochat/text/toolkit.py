"""All tools for an agent that works on videos."""

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
    """The tools of an agent over one store of videos: find the moment, look at it, cut it out.

    All work synchronously and asynchronously, tell their progress in a graph, and answer a failure with advice for the
    model. Text from videos reaches the model marked as data. Files are opened below `root_dir` only.

    Example:
        An agent that looks into the videos of a folder, and takes in new ones:

            toolkit = VideoChatToolkit(store=store, root_dir="videos")
            agent = create_agent(model, toolkit.get_tools())
            agent.invoke({"messages": "Where are the eggs whisked? Cut that out."})

        Without a folder it can search, read and look, but write nothing:

        >>> from langchain_videochat import VideoTimelineStore
        >>> [tool.name for tool in VideoChatToolkit(store=VideoTimelineStore()).get_tools()]
        ['list_videos', 'search_videos', 'video_chat_text', 'view_frames']
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    store: SkipValidation[VideoTimelineStore]
    """The videos."""

    model: SkipValidation[BaseChatModel] | None = None
    """A chat model that watches video, as VideoChatEmbed; with it there is `ask_video`."""

    root_dir: Path | None = None
    """The folder with all files that may be read and written; with it there are `index_video` and `cut_clip`.
    Without it, videos of the store are looked at where they lie, and nothing is written."""

    profile: str | Path = "standard"
    """Which models look and listen in `index_video`."""

    images: bool = True
    """Whether the agent's model takes images; if not, `view_frames` tells what was noticed around the times."""

    allow_urls: bool = False
    """Whether videos may be fetched from http and https addresses: at most 2 GiB in ten minutes each, and never from a
    private network."""

    def get_tools(self) -> list[BaseTool]:
        """Make the tools.

        Raises:
            InputError: `root_dir` is no folder.
        """
        files = AgentFiles(self.root_dir, self.allow_urls)
        tools: list[BaseTool] = [
            ListVideosTool(store=self.store),
            SearchVideosTool(store=self.store),
            VideoChatTextTool(store=self.store),
            ViewFramesTool(store=self.store, files=files, images=self.images),
        ]
        if self.model is not None:
            tools.append(AskVideoTool(store=self.store, model=self.model, files=files))
        if self.root_dir is not None:
            tools.append(IndexVideoTool(store=self.store, files=files, profile=self.profile))
            tools.append(CutClipTool(store=self.store, files=files))
        return tools
