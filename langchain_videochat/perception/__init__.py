"""Models that look and listen; each turns frames or sound into Observations (paper 3.1.1)."""

from langchain_videochat.perception.base import Frames, Perceiver, Subtitles
from langchain_videochat.perception.observation import MODALITIES, Box, Modality, Observation
from langchain_videochat.perception.pipeline import perceive
from langchain_videochat.perception.profiles import Profile, create_perceivers

__all__ = [
    "MODALITIES",
    "Box",
    "Frames",
    "Modality",
    "Observation",
    "Perceiver",
    "Profile",
    "Subtitles",
    "create_perceivers",
    "perceive",
]
