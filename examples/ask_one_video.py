"""Ask a question and a follow-up about one video, and print each answer with its citations.

Usage: python -m examples.ask_one_video --model openai:gpt-5-mini
"""

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from examples.common import chat_model_from_args, demo_store
from langchain_videochat import create_video_qa_chain

QUESTIONS = ["How many eggs are in the pancakes?", "And what do I do with them first?"]


def main(model: BaseChatModel) -> None:
    """Stream each answer, then print its citations."""
    store = demo_store()
    video = next(record for record in store.videos() if record.title == "Two quick recipes")
    chain = create_video_qa_chain(model, store.timeline(video.video_id))

    history: list[BaseMessage] = []
    for question in QUESTIONS:
        print(f"\n== {question}\n")
        answer = ""
        for part in chain.stream({"question": question, "history": history}):
            answer += part.get("answer", "")
            print(part.get("answer", ""), end="", flush=True)
            citations = part.get("citations", [])
        print()
        for citation in citations:
            print(f"[{citation.number}] {citation.label}  {citation.uri}")
        history += [HumanMessage(question), AIMessage(answer)]


if __name__ == "__main__":
    main(chat_model_from_args(__doc__))
