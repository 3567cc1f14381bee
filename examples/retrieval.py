"""Find moments in videos, with filters, and let a language model answer from them in a chain of LangChain's own parts.

Usage: python -m examples.retrieval --model openai:gpt-5-mini
"""

from typing import Any

from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough

from examples.common import demo_store, named_model

PROMPT = ChatPromptTemplate.from_template(
    "Answer from these moments of videos, and name the time.\n\n{moments}\n\nQuestion: {question}"
)
QUERIES: dict[str, dict[str, Any]] = {
    "How do I get more juice out of the fruit?": {},
    "recipe PX-4471": {"modalities": ["screen_text"]},
    "What do I need?": {"start": 20, "end": 40},
}
"""What is looked for, and where."""

QUESTION = "How much sugar does the lemonade need?"


def main(model: BaseChatModel) -> None:
    """Search by meaning, by a code and in a stretch of time, then answer a question."""
    retriever = demo_store().as_retriever(k=2)

    for query, filters in QUERIES.items():
        print(f"\n== {query} {filters or ''}\n")
        print(show(retriever.invoke(query, **filters)))

    chain = {"moments": retriever | show, "question": RunnablePassthrough()} | PROMPT | model | StrOutputParser()
    print(f"\n== {QUESTION}\n")
    for text in chain.stream(QUESTION):
        print(text, end="", flush=True)
    print()


def show(moments: list[Document]) -> str:
    """Write moments with their addresses, which a browser plays."""
    return "\n\n".join(f"{one.metadata['citation']}\n{one.page_content}" for one in moments)


if __name__ == "__main__":
    main(named_model(__doc__))
