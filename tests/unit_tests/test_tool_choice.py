"""Descriptions of tools: their length, and whether plain words of a user lead to the right tool.

No language model is asked: the words alone of a task rank the descriptions. The tasks were written before these.
"""

import re
import sqlite3
from pathlib import Path

import pytest
from langchain_core.tools import BaseTool

from langchain_videochat import VideoChatToolkit
from tests.agents import ScriptedChat, make_store

TASKS = {
    "list_videos": [
        "Which videos do you have?",
        "What is in my collection?",
        "How many recordings are there, and how long are they?",
        "Give me the titles of everything I can ask about.",
        "Do I have the lecture about Fourier transforms yet?",
    ],
    "search_videos": [
        "Where does she talk about the budget?",
        "Find the moment when the glass breaks.",
        "When was the password policy first mentioned?",
        "In which of the talks does someone mention Kubernetes?",
        "Look for the slide with the pie chart.",
        "What happens right after the fire alarm?",
        "Find scenes that look like this photo.",
    ],
    "video_chat_text": [
        "Summarize the whole talk.",
        "What is said between minute 10 and minute 15?",
        "Give me the transcript of the interview.",
        "What happens in the second half of the film?",
        "Write the minutes of this meeting.",
        "Read everything that was on the screen in the first five minutes.",
    ],
    "view_frames": [
        "Show me what it looks like at 2:15.",
        "What color is her jacket at 01:07?",
        "Let me see a picture from the middle of the video.",
        "Take a screenshot at 90 seconds.",
        "Look at the chart at 12:30 and describe its axes.",
        "Show me some stills of the opening scene.",
    ],
    "ask_video": [
        "Watch his swing: is it a forehand or a backhand?",
        "Does the ball cross the line in this video?",
        "In which direction does the car turn between 0:30 and 0:40?",
        "How does the dancer move her arms?",
    ],
    "index_video": [
        "I have just recorded lecture5.mp4, please add it.",
        "Add the new file to the collection.",
        "Make holiday.mov searchable.",
        "Process interview.mkv so that I can ask about it.",
        "Download this talk from its address and add it to my videos.",
        "I changed the subtitles, so index the video again.",
    ],
    "cut_clip": [
        "Cut out the part from 3:00 to 3:45.",
        "Make a clip of the goal.",
        "Save the part about pricing as its own file.",
        "I need an excerpt of the first minute that I can send to a colleague.",
        "Extract seconds 12 to 20 as an MP4.",
        "Trim the recording to the demo.",
    ],
}
"""What users ask for, by the tool that an agent should call first."""

FUNCTION_WORDS = re.findall(
    r"\w+",
    "a an the i me my you your he his she her it its we us our this that is are was be been do does did have has had "
    "can so to of in on at and or for from with as by if but there",
)
"""Words without a meaning of their own. Question words are not among them: "where" asks for a search."""

MIN_RIGHT = 36
"""Tasks of the 40 whose words must lead to the right tool. Those of "Does the ball cross the line?" cannot."""


@pytest.fixture
def tools() -> list[BaseTool]:
    return VideoChatToolkit(store=make_store(), root_dir=Path(), model=ScriptedChat(turns=[])).get_tools()


def test_words_of_tasks_lead_to_the_right_tool(tools: list[BaseTool]) -> None:
    ranking = DescriptionRanking(tools)
    tasks = [(task, name) for name, group in TASKS.items() for task in group]
    wrong = [f"{task} {ranking.best(task)}" for task, name in tasks if ranking.best(task) != name]
    assert len(tasks) == 40
    assert len(tasks) - len(wrong) >= MIN_RIGHT, wrong


def test_there_are_tasks_for_every_tool(tools: list[BaseTool]) -> None:
    assert sorted(TASKS) == sorted(tool.name for tool in tools)


def test_descriptions_are_short_complete_sentences(tools: list[BaseTool]) -> None:
    for tool in tools:
        sentences = re.split(r"(?<=\.) ", tool.description)
        assert 100 <= len(tool.description) <= 400, tool.name
        assert 2 <= len(sentences) <= 3, tool.name
        assert all(re.fullmatch(r"[A-Z][^.]*\.", sentence) for sentence in sentences), tool.name
        assert all(len(sentence.split()) <= 35 for sentence in sentences), tool.name
        assert sum(sentence.startswith("Use it ") for sentence in sentences) == 1, tool.name


class DescriptionRanking:
    """Ranks tools by BM25 of their names and descriptions, with word forms reduced by Porter's stemmer."""

    def __init__(self, tools: list[BaseTool]) -> None:
        self._database = sqlite3.connect(":memory:")
        self._database.execute("CREATE VIRTUAL TABLE tools USING fts5(name UNINDEXED, text, tokenize='porter')")
        rows = [(tool.name, f"{tool.name.replace('_', ' ')} {tool.description}") for tool in tools]
        self._database.executemany("INSERT INTO tools VALUES (?, ?)", rows)

    def best(self, task: str) -> str | None:
        """Return the name of the tool that matches best; None if none has a word of the task."""
        words = [word for word in re.findall(r"\w+", task.lower()) if word not in FUNCTION_WORDS]
        query = " OR ".join(f'"{word}"' for word in words)
        row = self._database.execute("SELECT name FROM tools WHERE tools MATCH ? ORDER BY bm25(tools)", [query])
        found: tuple[str] | None = row.fetchone()
        return None if found is None else found[0]
