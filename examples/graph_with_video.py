"""A LangGraph graph that indexes a video and answers a question, streaming progress and the answer.

Usage: python -m examples.graph_with_video --model openai:gpt-5-mini
"""

from typing import Any, TypedDict

from langchain_core.language_models import BaseChatModel
from langgraph.graph import END, START, StateGraph

from examples.common import chat_model_from_args, demo_video
from langchain_videochat import VideoChatToolkit, VideoTimelineStore, create_video_qa_chain

QUESTION = "What goes into the lemonade?"


class State(TypedDict, total=False):
    """State of the graph."""

    video: str
    question: str
    answer: str
    citations: list[Any]


def main(model: BaseChatModel) -> None:
    """Print the stream of the graph."""
    video = demo_video()
    store = VideoTimelineStore()
    toolkit = VideoChatToolkit(store=store, root_dir=video.parent, profile="lite")
    tools = {tool.name: tool for tool in toolkit.get_tools()}
    chain = create_video_qa_chain(model, store)

    def index(state: State) -> State:
        # In a graph, the tools of VideoChatToolkit stream their progress.
        tools["index_video"].invoke({"source": state["video"]})
        return {}

    def answer(state: State) -> State:
        result = chain.invoke(state["question"])
        return {"answer": result["answer"], "citations": result["citations"]}

    graph = StateGraph(State)
    graph.add_node("index", index)
    graph.add_node("answer", answer)
    graph.add_edge(START, "index")
    graph.add_edge("index", "answer")
    graph.add_edge("answer", END)

    print(f"\n== {QUESTION}\n")
    inputs: State = {"video": video.name, "question": QUESTION}
    stream: Any = graph.compile().stream(inputs, stream_mode=["custom", "messages", "values"])
    for mode, part in stream:
        if mode == "custom":
            print(f"{part['progress']:4.0%} {part['message']}")
        elif mode == "messages":
            print(part[0].text, end="", flush=True)
    print()
    for citation in part["citations"]:
        print(f"[{citation['number']}] {citation['label']}  {citation['uri']}")


if __name__ == "__main__":
    main(chat_model_from_args(__doc__))
