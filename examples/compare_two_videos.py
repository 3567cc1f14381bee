"""Two video clips in one question.

Usage: python -m examples.compare_two_videos --model videochat-7b
"""

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage

from examples.common import demo_video, embed_model_from_args, video_block


def main(model: BaseChatModel) -> None:
    """Print the answer, and the times of the frames sampled from each clip."""
    video = demo_video()
    message = HumanMessage(
        [
            {"type": "text", "text": "Here is a first recipe:"},
            video_block(video, start=4, end=20),
            {"type": "text", "text": "And a second one:"},
            video_block(video, start=22, end=38),
            {"type": "text", "text": "Which of them needs a pan?"},
        ]
    )
    answer = model.invoke([message])
    print(answer.text)
    for times in answer.response_metadata.get("sampled_times", []):
        print("sampled at", ", ".join(f"{time:.1f}" for time in times))


if __name__ == "__main__":
    main(embed_model_from_args(__doc__))
