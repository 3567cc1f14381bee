"""A form about a video, filled in by a model that watches it: always a valid one, whatever the model.

Usage: python -m examples.structured_video_report --model videochat-7b
"""

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage
from pydantic import BaseModel, Field

from examples.common import demo_video, video_block, watching_model


class Report(BaseModel):
    """What is to be seen in a video."""

    dish: str = Field(description="What is prepared", max_length=60)
    ingredients: list[str] = Field(description="What goes into it", max_length=8)
    people: int = Field(description="How many people are in the picture", ge=0, le=100)
    is_cooked: bool = Field(description="Whether something is heated")


def main(model: BaseChatModel) -> None:
    """Print the form."""
    question = {"type": "text", "text": "Fill in the form about this video."}
    report = model.with_structured_output(Report).invoke([HumanMessage([video_block(demo_video()), question])])
    assert isinstance(report, Report)
    for field, value in report:
        print(f"{field}: {value}")


if __name__ == "__main__":
    main(watching_model(__doc__))
