"""The samples that a config names, and the number of steps that it asks for."""

import math
from typing import Any

from torch.utils.data import ConcatDataset

from langchain_videochat.training.batch_sampler import MediaBatchSampler
from langchain_videochat.training.config import TrainingConfig
from langchain_videochat.training.samples import MEDIA, CaptionFile, ConversationFile, Media, Samples


def load_samples(config: TrainingConfig) -> dict[Media, Samples]:
    """Open the data files of a config, by media type. Videos and images are read when a sample is accessed.

    Raises:
        SourceError: A data file does not exist.
        InputError: A data file does not have the format of the stage.
    """
    file_type: Any = CaptionFile if config.stage == 1 else ConversationFile
    return {
        media: ConcatDataset(
            [file_type(data.file, media, root=data.root, num_frames=config.num_frames) for data in config.data]
        )
        for media in MEDIA
        if config.data
    }


def count_steps(config: TrainingConfig, sampler: MediaBatchSampler) -> int:
    """Return the number of optimizer steps of a run."""
    return config.steps or math.ceil((config.epochs or 0) * sampler.steps_per_epoch)
