"""The samples that a config names."""

import math
from collections.abc import Mapping
from typing import get_args

from langchain_videochat.training.config import TrainingConfig
from langchain_videochat.training.mixing import Mixture
from langchain_videochat.training.samples import CaptionFile, ConversationFile, Media, Samples, Together


def read_samples(config: TrainingConfig) -> dict[Media, Samples]:
    """Open the files of samples, by medium; videos and images are read when they are taken.

    Raises:
        SourceError: A file is not there.
        InputError: A file is not what its stage needs.
    """
    kind = CaptionFile if config.stage == 1 else ConversationFile
    return {
        media: Together([kind(data.file, media, root=data.root, num_frames=config.num_frames) for data in config.data])
        for media in get_args(Media)
    }


def mix(config: TrainingConfig, samples: Mapping[Media, Samples]) -> Mixture:
    """Decide on the order of the samples.

    Raises:
        InputError: There is none.
    """
    return Mixture.of({media: len(each) for media, each in samples.items()}, config.batch_size, config.seed)


def count_steps(config: TrainingConfig, mixture: Mixture) -> int:
    """Tell how many steps a config asks for."""
    return config.steps or math.ceil((config.epochs or 0) * mixture.steps_per_epoch)
