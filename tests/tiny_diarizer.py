"""A tiny Nemotron 3 Diarization to which the first speaker is a high tone and the second one a low tone."""

from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers

from tests.tiny_whisper import high, low, silence

hf: Any = transformers
"""Typed as Any: its models and processors are not fully typed."""

AUDIO = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
HEAD = {"hidden_size": 8, "audio_hidden_size": 64}


def save_untrained_diarizer(folder: Path) -> Path:
    """Save a model with random weights, whose chunks, speakers and features are those of the published model."""
    torch.manual_seed(0)
    # Weights of the usual size would hardly change the probabilities.
    return _save(hf.Nemotron3DiarizationForAudioFrameClassification(_config(initializer_range=0.3)), folder)


def save_diarizer(folder: Path) -> Path:
    """Save a model that distinguishes high from low tones; nobody speaks in silence."""
    return _save(_trained(), folder)


def make_processor() -> Any:
    """Return a processor that is configured like the published one."""
    return hf.Nemotron3DiarizationProcessor(hf.NemotronAsrStreamingFeatureExtractor(feature_size=128))


def _config(initializer_range: float = 0.02) -> Any:
    audio = {**AUDIO, "initializer_range": initializer_range}
    return hf.Nemotron3DiarizationConfig(audio_config=audio, head_config=HEAD, initializer_range=initializer_range)


def _save(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    make_processor().save_pretrained(folder)
    return folder


@cache
@torch.no_grad()
def _trained() -> Any:
    """Fit the projection of the encoder's features, which the encoder's layers do not change, to the tones."""
    torch.manual_seed(0)
    model = hf.Nemotron3DiarizationForAudioFrameClassification(_config()).eval()
    for layer in model.model.audio_tower.layers:
        for linear in (layer.self_attn.o_proj, layer.mlp.fc2):
            linear.weight.zero_()
            linear.bias.zero_()
    sounds = [(speaker, level * tone(5)) for speaker, tone in enumerate((high, low)) for level in (1.0, 0.2)]
    features = [_encode(model, samples) for _, samples in sounds] + [_encode(model, silence(5))]
    targets = [
        torch.nn.functional.one_hot(torch.tensor(speaker), 8).expand(len(one), 8)
        for (speaker, _), one in zip(sounds, features, strict=False)
    ] + [torch.zeros(len(features[-1]), 8)]
    inputs = torch.nn.functional.pad(torch.cat(features), (0, 1), value=1.0)
    fit = torch.linalg.lstsq(inputs, torch.cat(targets).float(), rcond=1e-3, driver="gelsd").solution
    model.model.proj.weight.copy_(fit[:-1].T)
    model.model.proj.bias.copy_(fit[-1])
    upsampler = model.model.upsampler.conv
    upsampler.weight.zero_()
    upsampler.bias.zero_()
    upsampler.weight[:, :, 1] = torch.eye(8).repeat(8, 1)
    for linear, scale in ((model.classifier.dense, 1.0), (model.classifier.out_proj, 20.0)):
        linear.weight.copy_(scale * torch.eye(8))
        linear.bias.fill_(-scale / 2 if scale > 1 else 0.0)
    return model


def _encode(model: Any, samples: object) -> torch.Tensor:
    inputs = make_processor()(samples, sampling_rate=16_000)
    encoded: torch.Tensor = model.model.audio_tower(torch.as_tensor(inputs["input_features"])).last_hidden_state
    return encoded[0]
