"""Two-stage training of VideoChat-Embed (paper 3.2.1)."""

from typing import TYPE_CHECKING

from langchain_videochat.utils.lazy import lazy_exports

if TYPE_CHECKING:
    from langchain_videochat.training.config import DataFile, TrainingConfig, read_config
    from langchain_videochat.training.dry_run import Preview, preview
    from langchain_videochat.training.merged_model import merge
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

_EXPORTS = {
    "config": ("DataFile", "TrainingConfig", "read_config"),
    "dry_run": ("Preview", "preview"),
    "merged_model": ("merge",),
    "samples": ("CaptionFile", "ConversationFile", "Media", "Sample", "Samples"),
    "trainer": ("TrainingReport", "train"),
}

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)
