"""Models that look and listen; each turns frames or sound into Observations (paper 3.1.1)."""

from langchain_videochat.models.weights import keep_models
from langchain_videochat.perception.base import Frames, ObservationInputs, Perceiver, Sound, Subtitles
from langchain_videochat.perception.observation import MODALITIES, Box, Modality, Observation
from langchain_videochat.perception.pipeline import Failure, PerceptionCallbacks, perceive, reflect, watch
from langchain_videochat.perception.profiles import Profile, create_perceivers, load_profile

__all__ = [
    "MODALITIES",
    "Box",
    "Failure",
    "Frames",
    "Modality",
    "Observation",
    "ObservationInputs",
    "Perceiver",
    "PerceptionCallbacks",
    "Profile",
    "Sound",
    "Subtitles",
    "create_perceivers",
    "keep_models",
    "load_profile",
    "perceive",
    "reflect",
    "watch",
]
