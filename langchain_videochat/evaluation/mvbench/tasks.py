"""The tasks of MVBench: where their videos lie, and which of them ask about a stretch only."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """One kind of question."""

    name: str
    """As the benchmark's table has it."""

    folder: str
    """Where its videos lie, below the folder `video`."""

    is_bounded: bool = False
    """Whether its questions are about what lies between their `start` and `end`."""

    @property
    def stem(self) -> str:
        """Name of its JSON file, without the ending."""
        return self.name.lower().replace(" ", "_").replace("-", "_")


_CHARADES = "star/Charades_v1_480"
_CLEVRER = "clevrer/video_validation"
_PERCEPTION = "perception/videos"

TASKS = (
    Task("Action Sequence", _CHARADES, is_bounded=True),
    Task("Action Prediction", _CHARADES, is_bounded=True),
    Task("Action Antonym", "ssv2_video"),
    Task("Fine-grained Action", "Moments_in_Time_Raw/videos"),
    Task("Unexpected Action", "FunQA_test/test"),
    Task("Object Existence", _CLEVRER),
    Task("Object Interaction", _CHARADES, is_bounded=True),
    Task("Object Shuffle", _PERCEPTION),
    Task("Moving Direction", _CLEVRER),
    Task("Action Localization", "sta/sta_video", is_bounded=True),
    Task("Scene Transition", "scene_qa/video"),
    Task("Action Count", _PERCEPTION),
    Task("Moving Count", _CLEVRER),
    Task("Moving Attribute", _CLEVRER),
    Task("State Change", _PERCEPTION),
    Task("Fine-grained Pose", "nturgbd"),
    Task("Character Order", _PERCEPTION),
    Task("Egocentric Navigation", "vlnqa"),
    Task("Episodic Reasoning", "tvqa/frames_fps3_hq", is_bounded=True),
    Task("Counterfactual Inference", _CLEVRER),
)
"""In the order of the benchmark's table. Episodic Reasoning has folders of frames in place of video files."""


def task_of(stem: str) -> Task:
    """Find the task of a JSON file; one that MVBench has not is a task of its own, with a folder of its name.

    Example:
        >>> task_of("fine_grained_pose").name
        'Fine-grained Pose'
        >>> task_of("what_happened_first").name
        'What Happened First'
    """
    own = Task(stem.replace("_", " ").title(), stem, is_bounded=True)
    return next((task for task in TASKS if task.stem == stem), own)
