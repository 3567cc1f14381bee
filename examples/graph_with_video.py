"""Watch a video and answer a question in a LangGraph graph, which streams how far it is, then the answer's words.

Usage: python -m examples.graph_with_video --model openai:gpt-5-mini
"""

from typing import Any, TypedDict

from langchain_core.language_models import BaseChatModel
from langgraph.graph import END, START, StateGraph

from examples.common import demo_video, named_model
from langchain_videochat import VideoChatToolkit, VideoTimelineStore, create_video_qa_chain

QUESTION = "What goes into the lemonade?"


class State(TypedDict, total=False):
    """What the nodes hand on."""

    video: str
    question: str
    answer: str
    citations: list[Any]


def main(model: BaseChatModel) -> None:
    """Print what the graph streams."""
    video = demo_video()
    store = VideoTimelineStore()
    toolkit = VideoChatToolkit(store=store, root_dir=video.parent, profile="lite")
    tools = {tool.name: tool for tool in toolkit.get_tools()}
    chain = create_video_qa_chain(model, store)

    def watch(state: State) -> State:
        # Within a graph the tools of VideoChatToolkit stream their progress.
        tools["index_video"].invoke({"source": state["video"]})
        return {}

    def answer(state: State) -> State:
        result = chain.invoke(state["question"])
        return {"answer": result["answer"], "citations": result["citations"]}

    graph = StateGraph(State)
    graph.add_node("watch", watch)
    graph.add_node("answer", answer)
    graph.add_edge(START, "watch")
    graph.add_edge("watch", "answer")
    graph.add_edge("answer", END)

    print(f"\n== {QUESTION}\n")
    given: State = {"video": video.name, "question": QUESTION}
    stream: Any = graph.compile().stream(given, stream_mode=["custom", "messages", "values"])
    for mode, part in stream:
        if mode == "custom":
            print(f"{part['progress']:4.0%} {part['message']}")
        elif mode == "messages":
            print(part[0].text, end="", flush=True)
    print()
    for citation in part["citations"]:
        print(f"[{citation.number}] {citation.label}  {citation.uri}")


if __name__ == "__main__":
    main(named_model(__doc__))
