"""An agent over a collection of videos: it lists, searches and reads timelines before it answers.

The collection is the folder demo/ with the demo video and any other videos in it.

Usage: python -m examples.agent_over_a_collection --model openai:gpt-5-mini
"""

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel

from examples.common import chat_model_from_args, demo_store
from langchain_videochat import VideoChatToolkit

PROMPT = "You answer questions about a collection of videos. Use your tools first, and name the video and the time."
QUESTION = "Which recipe uses more eggs, and how long does it fry?"


def main(model: BaseChatModel) -> None:
    """Print each step of the agent."""
    agent = create_agent(model, VideoChatToolkit(store=demo_store()).get_tools(), system_prompt=PROMPT)
    for update in agent.stream({"messages": [{"role": "user", "content": QUESTION}]}, stream_mode="updates"):
        for step in update.values():
            for message in step["messages"]:
                message.pretty_print()


if __name__ == "__main__":
    main(chat_model_from_args(__doc__))
