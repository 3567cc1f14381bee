"""Perception models, which convert frames, audio and subtitles to Observations (paper 3.1.1)."""

from langchain_videochat.models.weights import Weights, keep_models
from langchain_videochat.perception.modalities import (
    Modality,
    find_modality,
    list_modalities,
    modality_or_default,
    register_modality,
)
from langchain_videochat.perception.observation import Box, Observation
from langchain_videochat.perception.perceiver import (
    AudioInputs,
    FrameInputs,
    ObservationInputs,
    Perceiver,
    RequiredModel,
    SubtitleInputs,
)
from langchain_videochat.perception.perceiver_info import PerceiverInfo, list_perceivers
from langchain_videochat.perception.pipeline import (
    PerceiverFailure,
    PerceptionCallbacks,
    SegmentResult,
    perceive,
    perceive_observations,
    perceive_segment,
    perceive_video,
)
from langchain_videochat.perception.pretrained import BatchPerceiver, Frame, ModelOptions, ModelPerceiver
from langchain_videochat.perception.profiles import (
    Profile,
    create_perceivers,
    describe_profile,
    load_profile,
    required_models,
)
from langchain_videochat.perception.spans import OpenSpans

__all__ = [
    "AudioInputs",
    "BatchPerceiver",
    "Box",
    "Frame",
    "FrameInputs",
    "Modality",
    "ModelOptions",
    "ModelPerceiver",
    "Observation",
    "ObservationInputs",
    "OpenSpans",
    "Perceiver",
    "PerceiverFailure",
    "PerceiverInfo",
    "PerceptionCallbacks",
    "Profile",
    "RequiredModel",
    "SegmentResult",
    "SubtitleInputs",
    "Weights",
    "create_perceivers",
    "describe_profile",
    "find_modality",
    "keep_models",
    "list_modalities",
    "list_perceivers",
    "load_profile",
    "modality_or_default",
    "perceive",
    "perceive_observations",
    "perceive_segment",
    "perceive_video",
    "register_modality",
    "required_models",
]
