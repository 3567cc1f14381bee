"""The tools of an agent that works with videos."""

from pathlib import Path
from typing import Any, Self

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables.config import run_in_executor
from langchain_core.tools import BaseTool, BaseToolkit
from pydantic import ConfigDict, SkipValidation

from langchain_videochat.errors import InputError
from langchain_videochat.media.sources import absolute_source
from langchain_videochat.store import IndexReport, VideoTimelineStore
from langchain_videochat.store.indexing.progress import OnProgress
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

STORE_FOLDER = ".videochat"
"""Directory of the store that `VideoChatToolkit.from_folder` keeps in a folder. It is hidden, so it is not searched for
videos, and agents cannot write into it."""


class VideoChatToolkit(BaseToolkit):
    """Tools for an agent over a store of videos: search them, read and view their moments, cut clips.

    All tools work synchronously and asynchronously, report progress in a graph, and return errors with advice for the
    model. Text from videos is marked as data. Files are accessed below `root_dir` only.

    Example:
        An agent that works with the videos of a folder:

            toolkit = VideoChatToolkit.from_folder("videos/")
            agent = create_agent(model, toolkit.get_tools())
            agent.invoke({"messages": "Where are the eggs whisked? Cut that out."})

        The same with a store of your own, whose videos are indexed by you or by the agent:

            toolkit = VideoChatToolkit(store=store, root_dir="videos")

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

    more_dirs: tuple[Path, ...] = ()
    """Further folders to read and write, by absolute paths. Relative paths are below `root_dir`."""

    profile: str | Path = "standard"
    """Perception models of `index_video`: "lite" (no downloads), "talk", "standard", "full", or a YAML file."""

    images: bool = True
    """Whether the agent's model takes images; if not, `view_frames` returns the notes around each time."""

    allow_urls: bool = False
    """Whether videos may be downloaded from http and https URLs: each at most 2 GiB in ten minutes, and never from a
    private network."""

    report: SkipValidation[IndexReport] | None = None
    """What `from_folder` indexed, skipped, and could not read; None if the toolkit was created in another way."""

    @classmethod
    def from_folder(
        cls,
        folder: str | Path,
        *,
        store: VideoTimelineStore | str | Path | None = None,
        profile: str | Path = "standard",
        model: BaseChatModel | None = None,
        images: bool = True,
        allow_urls: bool = False,
        show_progress: bool = True,
        on_progress: OnProgress | None = None,
    ) -> Self:
        """Create a toolkit for the videos of a folder, after indexing the new and changed ones.

        Videos that are already indexed are skipped, and an interrupted call resumes when it is repeated. Files that
        cannot be read are skipped, logged as warnings, and listed in `report.failed`. Videos that were deleted from the
        folder stay searchable until they are removed from the store. Clips that an agent saves in the folder are
        indexed by the next call, as any new video.

        Args:
            folder: The folder, searched with its subfolders. It is also the only one in which the tools read and write
                files.
            store: The store, or its directory. If None, the directory `.videochat` in the folder, so that the index of
                a folder is found from any working directory, moves with it, and holds no videos of other folders. Pass
                another one if the folder cannot be written. The timeline of a file that has been replaced by another
                video is removed, except from a store that you have opened: it may be shared with other machines.
            profile: Perception models: "lite" (no downloads), "talk", "standard", "full", or a YAML file. With another
                profile than before, all videos are indexed again.
            model: A chat model that takes video input, for the tool `ask_video`.
            images: Whether the agent's model takes images.
            allow_urls: Whether the agent may index videos from http and https URLs.
            show_progress: Show a progress bar for each video.
            on_progress: Called as by `VideoTimelineStore.index`.

        Raises:
            InputError: `folder` is not a folder, or `profile` is unknown.
            ModelUnavailableError: A model of the profile, or the embedding model, is not available on this machine.
            StoreError: The store cannot be opened or written.

        Example:
            Tools for the videos of a folder, and what could not be read:

                toolkit = VideoChatToolkit.from_folder("talks/", profile="lite")
                for video in toolkit.report.failed:
                    print(video.source, video.error)
        """
        root = Path(folder).absolute()
        if not root.is_dir():
            raise InputError("folder", f"{folder} is not a folder", "Create it, or use another one")
        opened = store if isinstance(store, VideoTimelineStore) else VideoTimelineStore(store or root / STORE_FOLDER)
        report = opened.index(
            root, profile=profile, on_error="skip", show_progress=show_progress, on_progress=on_progress
        )
        if opened is not store:
            _remove_replaced(opened, report)
        return cls(
            store=opened,
            model=model,
            root_dir=root,
            profile=profile,
            images=images,
            allow_urls=allow_urls,
            report=report,
        )

    @classmethod
    async def afrom_folder(cls, folder: str | Path, **options: Any) -> Self:
        """Run `from_folder` in a thread, without blocking the event loop.

        Args:
            folder: The folder.
            **options: The other arguments of `from_folder`. `on_progress` is called in that thread.

        Raises:
            InputError: `folder` is not a folder, or `profile` is unknown.
            ModelUnavailableError: A model of the profile, or the embedding model, is not available on this machine.
            StoreError: The store cannot be opened or written.
        """
        return await run_in_executor(None, cls.from_folder, folder, **options)

    def get_tools(self) -> list[BaseTool]:
        """Create the tools.

        Raises:
            InputError: `root_dir` is not a folder.
        """
        files = AgentFiles(self.root_dir, self.allow_urls, more_roots=self.more_dirs)
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


def _remove_replaced(store: VideoTimelineStore, report: IndexReport) -> None:
    """Remove timelines whose files were all replaced by other videos: their citations would show the wrong video."""
    present = {absolute_source(one.source): one.video_id for one in report.videos if one.video_id is not None}
    for record in store.videos():
        if all(present.get(one.address, record.video_id) != record.video_id for one in record.sources):
            store.remove(record.video_id)
