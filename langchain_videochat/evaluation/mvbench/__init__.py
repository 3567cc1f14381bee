"""MVBench: 4,000 questions on videos in 20 tasks, each with some options to choose from (arXiv 2311.17005)."""

from langchain_videochat.evaluation.mvbench.answers import Answer
from langchain_videochat.evaluation.mvbench.dataset import Item, read_items
from langchain_videochat.evaluation.mvbench.evaluate import evaluate
from langchain_videochat.evaluation.mvbench.results import Missing, Report, TaskScore
from langchain_videochat.evaluation.mvbench.scoring import read_option
from langchain_videochat.evaluation.mvbench.tasks import TASKS, Task

__all__ = ["TASKS", "Answer", "Item", "Missing", "Report", "Task", "TaskScore", "evaluate", "read_items", "read_option"]
