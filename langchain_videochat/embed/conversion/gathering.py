"""Weights of several files, gathered under our names and checked against the model that they are to make."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from torch import Tensor

from langchain_videochat.embed.conversion.pretrained_folders import PretrainedFolder, add_delta
from langchain_videochat.embed.conversion.weight_names import (
    BLIP2,
    BLIP2_UNUSED,
    ORIGINAL,
    ORIGINAL_UNUSED,
    Patterns,
    match_name,
    prepare_original,
)
from langchain_videochat.errors import ModelError

NAMED_WEIGHTS = 20
"""How many weights that do not fit an error names."""

LANGUAGE_MODEL = "language_model."


class GatheredWeights:
    """Weights by our names, and which file gave them; they stay in their files until they are taken."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.files: dict[str, str] = {}
        self.unused: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._bases: dict[str, Tensor] = {}
        self._strange: list[str] = []

    def add_original(self, file: str | Path, weights: Mapping[str, Tensor]) -> None:
        """Add what one of the original's files holds; what another gave before is replaced, as the original does."""
        self._add(file, prepare_original(weights), ORIGINAL, ORIGINAL_UNUSED)

    def add_blip2(self, found: PretrainedFolder) -> None:
        """Add the vision tower and the Q-Former of a BLIP-2 of transformers."""
        self._add(found.folder, found.weights, BLIP2, BLIP2_UNUSED)

    def add_language_model(self, found: PretrainedFolder, base: PretrainedFolder | None = None) -> None:
        """Add a language model.

        Args:
            found: It, or the delta by which it differs from another.
            base: That other.
        """
        file = f"{found.folder}" if base is None else f"{base.folder} + {found.folder}"
        self._put(file, {LANGUAGE_MODEL + name: tensor for name, tensor in found.weights.items()})
        self._strange += [f"{name}, unexpected ({found.folder})" for name in found.unexpected]
        if base is not None:
            self._bases = {LANGUAGE_MODEL + name: tensor for name, tensor in base.weights.items()}
            self._strange += _compare_with_base(found, base)

    def add_new(self, weights: Mapping[str, Tensor]) -> None:
        """Add what no file gives: its file is the empty string."""
        self._put("", weights)

    def leave_out(self, is_spare: Callable[[str], bool], reason: str) -> None:
        """Leave out weights that the model has no use for, though they were expected in the file."""
        for name in [name for name in self.tensors if is_spare(name)]:
            del self.tensors[name]
            self.unused[self.files.pop(name)][reason] += 1

    def check(self, expected: Mapping[str, Tensor]) -> None:
        """Make sure that these are the weights of a model, no more, no less, and of the same shapes.

        Raises:
            ModelError: They are not.
        """
        problems = [f"{name}, missing" for name in expected if name not in self.tensors]
        problems += self._strange
        problems += [f"{name}, unexpected ({self.files[name]})" for name in self.tensors if name not in expected]
        problems += [
            f"{name}, {list(tensor.shape)} and not {list(expected[name].shape)} ({self.files[name]})"
            for name, tensor in self.tensors.items()
            if name in expected and tensor.shape != expected[name].shape
        ]
        if problems:
            more = len(problems) - NAMED_WEIGHTS
            named = "; ".join(problems[:NAMED_WEIGHTS]) + (f"; and {more} more" if more > 0 else "")
            advice = "Check that each file is what its argument says, and whole"
            raise ModelError("the files", f"weights do not fit ({len(problems)}): {named}", advice)

    def take(self, name: str) -> Tensor:
        """Take a weight out of here, so that its file is let go with the last of them."""
        tensor = self.tensors.pop(name)
        return add_delta(self._bases.pop(name), tensor) if name in self._bases else tensor.contiguous()

    def _add(self, file: str | Path, weights: Mapping[str, Tensor], names: Patterns, unused: Patterns) -> None:
        for name, tensor in weights.items():
            if ours := match_name(name, names):
                self._put(str(file), {ours: tensor})
            elif reason := match_name(name, unused):
                self.unused[str(file)][reason] += 1
            else:
                self._strange.append(f"{name}, unexpected ({file})")

    def _put(self, file: str, tensors: Mapping[str, Tensor]) -> None:
        for name, tensor in tensors.items():
            if name in self.tensors:
                del self.tensors[name]
                self.unused[self.files[name]]["replaced by a later file's"] += 1
            self.tensors[name] = tensor
            self.files[name] = file


def _compare_with_base(delta: PretrainedFolder, base: PretrainedFolder) -> Iterator[str]:
    """Name the weights of a delta that do not fit the model from which it differs."""
    vocabulary = delta.config.vocab_size
    for name in sorted({*delta.weights, *base.weights}):
        if name not in base.weights or name not in delta.weights:
            yield f"{LANGUAGE_MODEL}{name}, missing ({delta.folder if name in base.weights else base.folder})"
            continue
        ours, theirs = delta.weights[name].shape, base.weights[name].shape
        has_more_tokens = ours[1:] == theirs[1:] and ours[0] == vocabulary > theirs[0]
        if ours != theirs and not has_more_tokens:
            yield f"{LANGUAGE_MODEL}{name}, {list(theirs)} and not {list(ours)} ({base.folder})"
