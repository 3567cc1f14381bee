"""Let an agent look through a collection of videos: it lists, searches and reads before it answers.

The collection is the folder demo/, with the demo video and whatever else lies there.

Usage: python -m examples.agent_over_a_collection --model openai:gpt-5-mini
"""

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel

from examples.common import demo_store, named_model
from langchain_videochat import VideoChatToolkit

PROMPT = "You answer questions about a collection of videos. Look with your tools first; name the video and the time."
QUESTION = "Which recipe uses more eggs, and how long does it fry?"


def main(model: BaseChatModel) -> None:
    """Print each step of the agent as it is taken."""
    agent = create_agent(model, VideoChatToolkit(store=demo_store()).get_tools(), system_prompt=PROMPT)
    for update in agent.stream({"messages": [{"role": "user", "content": QUESTION}]}, stream_mode="updates"):
        for step in update.values():
            for message in step["messages"]:
                message.pretty_print()


if __name__ == "__main__":
    main(named_model(__doc__))
