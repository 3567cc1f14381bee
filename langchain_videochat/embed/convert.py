"""From the original's checkpoint files, or a BLIP-2 and a language model, to one folder for `from_pretrained`."""

import logging
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from langchain_videochat.embed.configuration_videochat import VideoChatEmbedConfig
from langchain_videochat.embed.conversion.checkpoint_files import read_checkpoint
from langchain_videochat.embed.conversion.dimensions import (
    check_settings,
    choose_dimensions,
    make_config,
    read_dimensions,
)
from langchain_videochat.embed.conversion.gathering import LANGUAGE_MODEL, GatheredWeights
from langchain_videochat.embed.conversion.language_checks import check_language, check_vocabulary
from langchain_videochat.embed.conversion.pretrained_folders import PretrainedFolder, read_blip2, read_language_model
from langchain_videochat.embed.conversion.writing import write_model
from langchain_videochat.embed.modeling_videochat import VideoChatEmbedForConditionalGeneration
from langchain_videochat.embed.processing_videochat import VideoChatEmbedProcessor
from langchain_videochat.errors import InputError
from langchain_videochat.models.hub import without_progress_bars

LAYER = "vision_tower.layers."

ALWAYS_NEW = (".local_mhra.",)
"""Parts that no released file has."""

NEW = (*ALWAYS_NEW, ".gmhra", "extra_query_tokens", "language_projection.")
"""Parts that VideoChat adds to BLIP-2 and a language model."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ConversionReport:
    """What a conversion made of which file; printed, a line each."""

    output: Path
    """The folder that was written."""

    parameters: int
    """Numbers in the model."""

    used: dict[str, dict[str, int]]
    """How many weights of each part a file gave, by file and part."""

    unused: dict[str, dict[str, int]]
    """How many weights of a file are not needed, by file and reason. That is normal."""

    created: dict[str, int]
    """How many weights of each part no file gave, so that they wait for training."""

    sample: str = ""
    """What the language model says by itself."""

    warnings: tuple[str, ...] = ()
    """What looks wrong."""

    def __str__(self) -> str:
        lines = [f"{self.output}: {self.parameters:,} parameters"]
        lines += [f"{file}: {_enumerate(parts)}" for file, parts in self.used.items()]
        lines += [f"{file}: not needed: {_enumerate(reasons)}" for file, reasons in self.unused.items()]
        lines += [f"new, to be trained: {_enumerate(self.created)}"] if self.created else []
        lines += [f"the language model goes on with: {self.sample!r}"] if self.sample else []
        return "\n".join([*lines, *(f"warning: {warning}" for warning in self.warnings)])


def convert_checkpoint(
    *,
    blip2: str | Path,
    language_model: str | Path,
    output: str | Path,
    eva: str | Path | None = None,
    videochat: str | Path | None = None,
    language_model_delta: str | Path | None = None,
    show_progress: bool = True,
    **config_overrides: Any,
) -> ConversionReport:
    """Make one folder of the original's checkpoint files, or of a BLIP-2 and a language model of transformers.

    Without `eva` and `videochat`, the result is a starting point for training: what VideoChat adds is new.

    The weights stay in the types that they have in the files; the model is loaded in that of the language model, if
    nothing else is asked for. Nothing is written before everything fits, and the folder appears when it is whole.
    The files are mapped into memory: at no time more than one of them is held, and what is computed of it.

    Args:
        blip2: The original's `blip2_pretrained_flant5xxl.pth`; or, without `eva` and `videochat`, the folder or the
            id of a BLIP-2 or InstructBLIP of transformers.
        language_model: The folder of a causal language model of transformers, or its id on the Hugging Face hub.
        output: The folder to write. It must not exist.
        eva: The original's `eva_vit_g.pth`.
        videochat: The original's `videochat_7b.pth`, `videochat_13b.pth`, or a checkpoint of its training.
        language_model_delta: The folder or the id of what is to be added to the language model, as Vicuna v0 and
            StableVicuna were published. The tokenizer is taken from there.
        show_progress: Show a progress bar while the folder is written.
        **config_overrides: Numbers that the weights' shapes do not tell, where they are not the original's:
            `vision_heads` (its width / 88), `vision_layers` (all, at most 39), `vision_layer_norm_eps` (1e-6),
            `gmhra_layer_norm_eps` (1e-5), `ln_vision_eps` (1e-5), `qformer_heads` (its width / 64),
            `qformer_layer_norm_eps` (1e-12); a BLIP-2 folder's configuration tells those of its parts. Where these
            are new, `gmhra_layers` (8) and `extra_num_query_tokens` (64), and always `local_mhra` (0).

    Raises:
        InputError: A setting does not exist or cannot be, a file is not named, or the output exists.
        ModelUnavailableError: A file does not exist, or a model cannot be fetched.
        ModelError: A file is damaged, or weights are missing, unexpected or of a wrong shape.

    Example:
        The released 7B model:

            convert_checkpoint(
                eva="eva_vit_g.pth",
                blip2="blip2_pretrained_flant5xxl.pth",
                videochat="videochat_7b.pth",
                language_model="llama-7b",
                language_model_delta="lmsys/vicuna-7b-delta-v0",
                output="videochat-7b",
            )
    """
    check_settings(config_overrides)
    output = Path(output)
    if output.exists():
        raise InputError("output", f"{output} is there already", "Name another folder, or remove this one")
    weights = GatheredWeights()
    usual = _add_vision(weights, eva, blip2, videochat)
    language = _add_language(weights, language_model, language_model_delta)
    is_whole = videochat is not None
    told = read_dimensions(weights.tensors, is_whole=is_whole)
    config = make_config(choose_dimensions(told, usual, config_overrides), language.config)
    processor, warnings = _make_processor(language, config)
    config.video_token_id = language.config.vocab_size if processor is None else processor.video_token_id
    config.dtype = language.config.dtype
    config.architectures = [VideoChatEmbedForConditionalGeneration.__name__]
    created = _complete(weights, config, ALWAYS_NEW if is_whole else NEW)
    report = _describe(output, weights, created)
    write_model(output, weights, config, processor, language.folder, show_progress=show_progress)
    sample, doubts = ("", []) if processor is None else _hear(output, language, processor.tokenizer)
    for warning in warnings + doubts:
        _LOG.warning("%s: %s", output, warning)
    return replace(report, sample=sample, warnings=(*warnings, *doubts))


def _add_vision(
    weights: GatheredWeights, eva: str | Path | None, blip2: str | Path, videochat: str | Path | None
) -> dict[str, Any]:
    """Add all but the language model; what a configuration tells of it is returned."""
    if eva is None and videochat is None:
        found = read_blip2(blip2)
        weights.add_blip2(found)
        vision, qformer = found.config.vision_config, found.config.qformer_config
        return {
            "vision_heads": vision.num_attention_heads,
            "vision_layer_norm_eps": vision.layer_norm_eps,
            "ln_vision_eps": vision.layer_norm_eps,
            "qformer_heads": qformer.num_attention_heads,
            "qformer_layer_norm_eps": qformer.layer_norm_eps,
        }
    if eva is None or videochat is None:
        problem = "the original's model is in both of them"
        raise InputError("eva, videochat", problem, "Name both, or none to start from a BLIP-2 of transformers")
    for file in (eva, blip2, videochat):
        weights.add_original(file, read_checkpoint(file))
    return {}


def _add_language(weights: GatheredWeights, model: str | Path, delta: str | Path | None) -> PretrainedFolder:
    """Add the language model; what is returned has its configuration, and the folder of its tokenizer."""
    found = read_language_model(model)
    if delta is None:
        weights.add_language_model(found)
    else:
        base, found = found, read_language_model(delta)
        weights.add_language_model(found, base)
    return replace(found, weights={})  # whoever keeps one of them keeps its file


def _make_processor(
    language: PretrainedFolder, config: VideoChatEmbedConfig
) -> tuple[VideoChatEmbedProcessor | None, list[str]]:
    """Make a processor with the language model's tokenizer, and warn if there is none or it does not fit."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(language.folder, trust_remote_code=False)
    except Exception as error:  # transformers has many for what it cannot read
        problem = (
            f"no tokenizer can be loaded from {language.folder} ({type(error).__name__}), so there is no processor"
        )
        return None, [problem]
    warnings = check_vocabulary(tokenizer, language.config.vocab_size)
    processor = VideoChatEmbedProcessor(
        tokenizer, image_size=config.vision_config.image_size, num_visual_tokens=config.num_visual_tokens
    )
    return processor, warnings


def _complete(weights: GatheredWeights, config: VideoChatEmbedConfig, new: tuple[str, ...]) -> Counter[str]:
    """Make new weights where there are none yet and may be none, and see that all are there then."""
    with torch.device("meta"):
        model = VideoChatEmbedForConditionalGeneration(config)
    expected = {name: value for name, value in model.state_dict().items() if name not in model.all_tied_weights_keys}
    layers = config.vision_config.num_hidden_layers
    weights.leave_out(lambda name: name.startswith(LAYER) and int(name.split(".")[2]) >= layers, "spare layers")
    missing = [name for name in expected if name not in weights.tensors and any(part in name for part in new)]
    weights.check({name: value for name, value in expected.items() if name not in missing})
    weights.add_new(_start(model, missing))
    return Counter(map(_part, missing))


def _start(model: VideoChatEmbedForConditionalGeneration, names: list[str]) -> dict[str, Tensor]:
    """Give weights of a model that is on the meta device the values with which the model starts."""
    for name in names:
        path, _, leaf = name.rpartition(".")
        module = model.get_submodule(path)
        empty = torch.empty_like(getattr(module, leaf), device="cpu")
        setattr(module, leaf, nn.Parameter(empty) if leaf in module._parameters else empty)
    model.initialize_weights()
    state = model.state_dict()
    return {name: state[name] for name in names}


def _hear(output: Path, language: PretrainedFolder, tokenizer: PreTrainedTokenizerBase) -> tuple[str, list[str]]:
    """Let the language model speak, as it was written, without the rest."""
    weights = {
        name.removeprefix(LANGUAGE_MODEL): tensor
        for file in output.glob("*.safetensors")
        for name, tensor in read_checkpoint(file).items()
        if name.startswith(LANGUAGE_MODEL)
    }
    with without_progress_bars():
        model = language.kind.from_pretrained(
            None, config=language.config, state_dict=weights, dtype=language.config.dtype
        )
    return check_language(model, tokenizer)


def _describe(output: Path, weights: GatheredWeights, created: Counter[str]) -> ConversionReport:
    used: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for name, file in weights.files.items():
        if file:
            used[file][_part(name)] += 1
    parameters = sum(tensor.numel() for tensor in weights.tensors.values())
    return ConversionReport(
        output=output,
        parameters=parameters,
        used={file: dict(parts) for file, parts in used.items()},
        unused={file: dict(reasons) for file, reasons in weights.unused.items()},
        created=dict(created),
    )


def _part(name: str) -> str:
    """Name the part of the model that a weight belongs to."""
    return next((part for part in ("gmhra", "local_mhra") if f".{part}" in name), name.partition(".")[0])


def _enumerate(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in counts.items())
