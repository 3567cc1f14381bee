"""Training a VideoChat-Embed in two stages (paper 3.2.1)."""

from typing import TYPE_CHECKING

from langchain_videochat.utils.lazy import lazy_exports

if TYPE_CHECKING:
    from langchain_videochat.training.config import DataFile, TrainingConfig, read_config
    from langchain_videochat.training.dry_run import Preview, preview
    from langchain_videochat.training.merged_weights import merge
    from langchain_videochat.training.samples import CaptionFile, ConversationFile, Media, Sample, Samples
    from langchain_videochat.training.trainer import TrainingReport, train

__all__ = [
    "CaptionFile",
    "ConversationFile",
    "DataFile",
    "Media",
    "Preview",
    "Sample",
    "Samples",
    "TrainingConfig",
    "TrainingReport",
    "merge",
    "preview",
    "read_config",
    "train",
]

_MODULES = {
    "CaptionFile": "samples",
    "ConversationFile": "samples",
    "DataFile": "config",
    "Media": "samples",
    "Preview": "dry_run",
    "Sample": "samples",
    "Samples": "samples",
    "TrainingConfig": "config",
    "TrainingReport": "trainer",
    "merge": "merged_weights",
    "preview": "dry_run",
    "read_config": "config",
    "train": "trainer",
}

__getattr__, __dir__ = lazy_exports(__name__, _MODULES)
