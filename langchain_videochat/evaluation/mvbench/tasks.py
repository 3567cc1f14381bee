"""The tasks of MVBench: the folders of their videos, and whether their questions are about an interval."""

from dataclasses import dataclass

from langchain_videochat.evaluation.benchmarks.items import task_stem


@dataclass(frozen=True)
class BenchmarkTask:
    """A task of the benchmark: one type of question."""

    name: str
    """Name in the benchmark's table."""

    folder: str
    """Folder of the videos, relative to the folder `video`."""

    has_bounds: bool = False
    """Whether its questions are about the interval from their `start` to their `end`."""

    @property
    def stem(self) -> str:
        """Name of the JSON file without its extension."""
        return task_stem(self.name)


_CHARADES = "star/Charades_v1_480"
_CLEVRER = "clevrer/video_validation"
_PERCEPTION = "perception/videos"

TASKS = (
    BenchmarkTask("Action Sequence", _CHARADES, has_bounds=True),
    BenchmarkTask("Action Prediction", _CHARADES, has_bounds=True),
    BenchmarkTask("Action Antonym", "ssv2_video"),
    BenchmarkTask("Fine-grained Action", "Moments_in_Time_Raw/videos"),
    BenchmarkTask("Unexpected Action", "FunQA_test/test"),
    BenchmarkTask("Object Existence", _CLEVRER),
    BenchmarkTask("Object Interaction", _CHARADES, has_bounds=True),
    BenchmarkTask("Object Shuffle", _PERCEPTION),
    BenchmarkTask("Moving Direction", _CLEVRER),
    BenchmarkTask("Action Localization", "sta/sta_video", has_bounds=True),
    BenchmarkTask("Scene Transition", "scene_qa/video"),
    BenchmarkTask("Action Count", _PERCEPTION),
    BenchmarkTask("Moving Count", _CLEVRER),
    BenchmarkTask("Moving Attribute", _CLEVRER),
    BenchmarkTask("State Change", _PERCEPTION),
    BenchmarkTask("Fine-grained Pose", "nturgbd"),
    BenchmarkTask("Character Order", _PERCEPTION),
    BenchmarkTask("Egocentric Navigation", "vlnqa"),
    BenchmarkTask("Episodic Reasoning", "tvqa/frames_fps3_hq", has_bounds=True),
    BenchmarkTask("Counterfactual Inference", _CLEVRER),
)
"""In the order of the benchmark's table. Episodic Reasoning has folders of frames instead of video files."""


def find_task(stem: str) -> BenchmarkTask:
    """Return the task of a JSON file. Custom tasks, which are not in MVBench, have folders of the same name.

    Example:
        >>> find_task("fine_grained_pose").name
        'Fine-grained Pose'
        >>> find_task("what_happened_first").name
        'What Happened First'
    """
    custom = BenchmarkTask(stem.replace("_", " ").title(), stem, has_bounds=True)
    return next((task for task in TASKS if task.stem == stem), custom)
