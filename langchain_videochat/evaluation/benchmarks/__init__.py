"""Multiple-choice benchmarks: asking a chat model questions about videos and scoring its answers.

Readers return the questions of a downloaded benchmark as items; `langchain_videochat.evaluation.mvbench` reads MVBench.
"""

from langchain_videochat.evaluation.benchmarks.answer_file import BenchmarkAnswer
from langchain_videochat.evaluation.benchmarks.evaluate import evaluate
from langchain_videochat.evaluation.benchmarks.items import BenchmarkItem
from langchain_videochat.evaluation.benchmarks.long_video_bench import read_long_video_bench
from langchain_videochat.evaluation.benchmarks.prompts import PromptFormat, SubtitleFormat
from langchain_videochat.evaluation.benchmarks.question_groups import QuestionGroup
from langchain_videochat.evaluation.benchmarks.results import BenchmarkReport, MissingVideo, TaskScore
from langchain_videochat.evaluation.benchmarks.scoring import parse_option
from langchain_videochat.evaluation.benchmarks.video_mme import read_video_mme
from langchain_videochat.evaluation.benchmarks.video_mme_v2 import read_video_mme_v2

__all__ = [
    "BenchmarkAnswer",
    "BenchmarkItem",
    "BenchmarkReport",
    "MissingVideo",
    "PromptFormat",
    "QuestionGroup",
    "SubtitleFormat",
    "TaskScore",
    "evaluate",
    "parse_option",
    "read_long_video_bench",
    "read_video_mme",
    "read_video_mme_v2",
]
