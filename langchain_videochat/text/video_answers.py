"""Answers of the question-answering chain, and the chain as a Runnable that agents can use as a tool."""

from typing import Any

from langchain_core.documents import Document
from langchain_core.runnables import RunnableBinding
from langchain_core.tools import BaseTool
from pydantic import BaseModel, create_model
from typing_extensions import TypedDict

from langchain_videochat.text.citations import Citation
from langchain_videochat.text.prompts import NOT_SUPPORTED, is_not_shown


class VideoAnswer(TypedDict):
    """The output of a question-answering chain."""

    answer: str
    """The answer, with the numbers of the moments that support it: "[2]"."""

    citations: list[Citation]
    """The parts of the video that support the answer, one for each cited moment, in order of first citation."""

    supported: bool
    """Whether the answer cites at least one moment, and no citation had to be removed because the model was not given
    such a moment. It is false for "The video does not show this.", too. That the cited moments say what the answer says
    is not checked."""

    closest: list[Citation]
    """If `citations` is empty: the moments that match the question best, best first. They need not contain an
    answer."""

    documents: list[Document]
    """The moments that the model was given: moment n is `documents[n - 1]`."""


def unsupported_remark(answer: VideoAnswer) -> str | None:
    """Return a remark to show with an answer that is not supported; None if it is, or does not claim anything.

    Example:
        >>> answer = VideoAnswer(answer="The car is red.", citations=[], supported=False, closest=[], documents=[])
        >>> unsupported_remark(answer)
        'Not supported by the videos: this answer cites none of their moments.'
    """
    if answer["supported"] or is_not_shown(answer["answer"]) or answer["answer"] == NOT_SUPPORTED:
        return None
    if answer["citations"]:
        return "Not fully supported by the videos: this answer also cited moments that do not exist."
    return "Not supported by the videos: this answer cites none of their moments."


class VideoQAChain(RunnableBinding[Any, VideoAnswer]):
    """A chain from any form of a question to a `VideoAnswer`; `create_video_qa_chain` creates it."""

    def as_tool(
        self,
        args_schema: type[BaseModel] | None = None,
        *,
        name: str | None = None,
        description: str | None = None,
        arg_types: dict[str, type] | None = None,
    ) -> BaseTool:
        """Return a tool that answers an agent's questions.

        The content for the agent's model is the answer with its citations, the artifact is the `VideoAnswer`. Errors of
        this package become results with advice for the model.

        Args:
            args_schema: Arguments of the tool, if not `question`, `video_id`, `start` and `end`.
            name: Name of the tool; "ask_videos" if None.
            description: Description for the model; one that names no topic of the videos if None.
            arg_types: Names and types of the arguments, instead of `args_schema`.

        Example:
            An agent that asks about the videos of a store:

                from langchain.agents import create_agent

                chain = create_video_qa_chain(llm, store)
                agent = create_agent(llm, [chain.as_tool(description="Answers questions about our cooking videos.")])
        """
        from langchain_videochat.text.tools.ask_videos import AskVideosTool

        types: dict[str, Any] = {argument: (kind, ...) for argument, kind in (arg_types or {}).items()}
        schema = create_model("AskVideosArguments", **types) if types and args_schema is None else args_schema
        options: dict[str, Any] = {"args_schema": schema, "name": name, "description": description}
        return AskVideosTool(chain=self, **{key: value for key, value in options.items() if value is not None})
