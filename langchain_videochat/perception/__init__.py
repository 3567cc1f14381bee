"""Models that look and listen; each turns frames or sound into Observations (paper 3.1.1)."""

from langchain_videochat.perception.base import Frames, Perceiver, Sound, Subtitles, Told
from langchain_videochat.perception.observation import MODALITIES, Box, Modality, Observation
from langchain_videochat.perception.pipeline import Failure, Listener, perceive, reflect, watch
from langchain_videochat.perception.profiles import Profile, create_perceivers, load_profile
from langchain_videochat.weights import keep_models

__all__ = [
    "MODALITIES",
    "Box",
    "Failure",
    "Frames",
    "Listener",
    "Modality",
    "Observation",
    "Perceiver",
    "Profile",
    "Sound",
    "Subtitles",
    "Told",
    "create_perceivers",
    "keep_models",
    "load_profile",
    "perceive",
    "reflect",
    "watch",
]
