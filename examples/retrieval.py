"""Search for moments with filters, and answer from them in a chain of standard LangChain components.

Usage: python -m examples.retrieval --model openai:gpt-5-mini
"""

from typing import Any

from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough

from examples.common import chat_model_from_args, demo_store

PROMPT = ChatPromptTemplate.from_template(
    "Answer from these moments of videos and name the time.\n\n{moments}\n\nQuestion: {question}"
)
QUERIES: dict[str, dict[str, Any]] = {
    "How do I get more juice out of the fruit?": {},
    "recipe PX-4471": {"modalities": ["screen_text"]},
    "What do I need?": {"start": 20, "end": 40},
}
"""Queries and their filters."""

QUESTION = "How much sugar does the lemonade need?"


def main(model: BaseChatModel) -> None:
    """Search by meaning, by a code and in an interval, then answer a question."""
    retriever = demo_store().as_retriever(k=2)

    for query, filters in QUERIES.items():
        print(f"\n== {query} {filters or ''}\n")
        print(format_moments(retriever.invoke(query, **filters)))

    chain = (
        {"moments": retriever | format_moments, "question": RunnablePassthrough()} | PROMPT | model | StrOutputParser()
    )
    print(f"\n== {QUESTION}\n")
    for text in chain.stream(QUESTION):
        print(text, end="", flush=True)
    print()


def format_moments(moments: list[Document]) -> str:
    """Join moments, whose texts have their times and citations, which browsers can play."""
    return "\n\n".join(one.page_content for one in moments)


if __name__ == "__main__":
    main(chat_model_from_args(__doc__))
