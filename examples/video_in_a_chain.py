"""A chain that watches: a prompt with a video, VideoChatEmbed, and a parser.

Usage: python -m examples.video_in_a_chain --model videochat-7b
"""

from langchain_core.language_models import BaseChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from examples.common import demo_video, video_block, watching_model

VIDEO = {"type": "video", "url": "{url}", "mime_type": "video/mp4"}


def main(model: BaseChatModel) -> None:
    """Print the answer as it is written."""
    prompt = ChatPromptTemplate([("human", [VIDEO, {"type": "text", "text": "{question}"}])])
    chain = prompt | model | StrOutputParser()
    for piece in chain.stream({"url": video_block(demo_video())["url"], "question": "What is cooked here?"}):
        print(piece, end="", flush=True)
    print()


if __name__ == "__main__":
    main(watching_model(__doc__))
