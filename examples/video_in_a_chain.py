"""A chain with a video: prompt template, VideoChatEmbed and output parser.

Usage: python -m examples.video_in_a_chain --model videochat-7b
"""

from langchain_core.language_models import BaseChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from examples.common import demo_video, embed_model_from_args, video_block

VIDEO = {"type": "video", "url": "{url}", "mime_type": "video/mp4"}


def main(model: BaseChatModel) -> None:
    """Stream the answer."""
    prompt = ChatPromptTemplate([("human", [VIDEO, {"type": "text", "text": "{question}"}])])
    chain = prompt | model | StrOutputParser()
    for text in chain.stream({"url": video_block(demo_video())["url"], "question": "What is cooked here?"}):
        print(text, end="", flush=True)
    print()


if __name__ == "__main__":
    main(embed_model_from_args(__doc__))
