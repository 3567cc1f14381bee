"""Structured output from a video. Constrained decoding makes it valid whatever the model.

Usage: python -m examples.structured_video_report --model videochat-7b
"""

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage
from pydantic import BaseModel, Field

from examples.common import demo_video, embed_model_from_args, video_block


class Report(BaseModel):
    """Contents of a cooking video."""

    dish: str = Field(description="Dish that is prepared", max_length=60)
    ingredients: list[str] = Field(description="Ingredients of the dish", max_length=8)
    people: int = Field(description="Number of people visible", ge=0, le=100)
    is_cooked: bool = Field(description="Whether anything is heated")


def main(model: BaseChatModel) -> None:
    """Print the fields of the report."""
    question = {"type": "text", "text": "Describe this video in the given form."}
    report = model.with_structured_output(Report).invoke([HumanMessage([video_block(demo_video()), question])])
    assert isinstance(report, Report)
    for field, value in report:
        print(f"{field}: {value}")


if __name__ == "__main__":
    main(embed_model_from_args(__doc__))
