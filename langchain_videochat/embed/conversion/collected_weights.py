"""Weights of several files, collected under our names and checked against the model that they form."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from torch import Tensor

from langchain_videochat.embed.conversion.pretrained_folders import PretrainedFolder, add_delta
from langchain_videochat.embed.conversion.weight_names import Patterns, match_name
from langchain_videochat.errors import ModelError

MAX_LISTED_PROBLEMS = 20
"""Maximum number of mismatched weights that an error message lists."""

LANGUAGE_MODEL = "language_model."


class CollectedWeights:
    """Weights by our names, and the file that each comes from. They stay memory-mapped until they are popped."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.files: dict[str, str] = {}
        self.unused: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._bases: dict[str, Tensor] = {}
        self._problems: list[str] = []

    def add(self, file: str | Path, weights: Mapping[str, Tensor], names: Patterns, unused: Patterns) -> None:
        """Add the weights of a file or folder. As in the original, they replace those of earlier files.

        `names` maps their names to ours, and `unused` maps the names of other known weights to what they are.
        """
        for name, tensor in weights.items():
            if ours := match_name(name, names):
                self._add(str(file), {ours: tensor})
            elif reason := match_name(name, unused):
                self.unused[str(file)][reason] += 1
            else:
                self._problems.append(f"{name}, unexpected ({file})")

    def add_language_model(self, found: PretrainedFolder, base: PretrainedFolder | None = None) -> None:
        """Add a language model, or its delta to `base`."""
        file = f"{found.folder}" if base is None else f"{base.folder} + {found.folder}"
        self._add(file, {LANGUAGE_MODEL + name: tensor for name, tensor in found.weights.items()})
        self._problems += [f"{name}, unexpected ({found.folder})" for name in found.unexpected]
        if base is not None:
            self._bases = {LANGUAGE_MODEL + name: tensor for name, tensor in base.weights.items()}
            self._problems += _compare_with_base(found, base)

    def add_new(self, weights: Mapping[str, Tensor]) -> None:
        """Add newly initialized weights, whose file is the empty string."""
        self._add("", weights)

    def drop(self, is_unused: Callable[[str], bool], reason: str) -> None:
        """Drop weights that belong to their file, but are not used by the model."""
        for name in [name for name in self.tensors if is_unused(name)]:
            del self.tensors[name]
            self.unused[self.files.pop(name)][reason] += 1

    def check(self, expected: Mapping[str, Tensor]) -> None:
        """Check that the weights have exactly the expected names and shapes.

        Raises:
            ModelError: They differ.
        """
        problems = [f"{name}, missing" for name in expected if name not in self.tensors]
        problems += self._problems
        problems += [f"{name}, unexpected ({self.files[name]})" for name in self.tensors if name not in expected]
        problems += [
            f"{name}, {list(tensor.shape)} instead of {list(expected[name].shape)} ({self.files[name]})"
            for name, tensor in self.tensors.items()
            if name in expected and tensor.shape != expected[name].shape
        ]
        if problems:
            more = len(problems) - MAX_LISTED_PROBLEMS
            listed = "; ".join(problems[:MAX_LISTED_PROBLEMS]) + (f"; and {more} more" if more > 0 else "")
            advice = "Check that each argument names the right, complete file"
            raise ModelError("the files", f"{len(problems)} weights do not fit: {listed}", advice)

    def pop(self, name: str) -> Tensor:
        """Remove and return a weight, with its delta applied. A file is unmapped with the last of its weights."""
        tensor = self.tensors.pop(name)
        return add_delta(self._bases.pop(name), tensor) if name in self._bases else tensor.contiguous()

    def _add(self, file: str, tensors: Mapping[str, Tensor]) -> None:
        for name, tensor in tensors.items():
            if name in self.tensors:
                del self.tensors[name]
                self.unused[self.files[name]]["replaced by a later file"] += 1
            self.tensors[name] = tensor
            self.files[name] = file


def _compare_with_base(delta: PretrainedFolder, base: PretrainedFolder) -> Iterator[str]:
    """Yield the mismatches between the weights of a delta and its base."""
    vocabulary = delta.config.vocab_size
    for name in sorted({*delta.weights, *base.weights}):
        if name not in base.weights or name not in delta.weights:
            yield f"{LANGUAGE_MODEL}{name}, missing ({delta.folder if name in base.weights else base.folder})"
            continue
        ours, theirs = delta.weights[name].shape, base.weights[name].shape
        has_more_tokens = ours[1:] == theirs[1:] and ours[0] == vocabulary > theirs[0]
        if ours != theirs and not has_more_tokens:
            yield f"{LANGUAGE_MODEL}{name}, {list(theirs)} instead of {list(ours)} ({base.folder})"
