"""The Ray cluster: connecting to it, and placing actors on its nodes."""

import logging
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from langchain_videochat.errors import WorkerError
from langchain_videochat.models.cards import CARDS
from langchain_videochat.perception import Profile
from langchain_videochat.utils.optional_dependencies import require_extra

ROUNDING = 1e-6

MODEL_CPUS = 4
"""CPUs of an actor whose perceivers have pretrained models, but no GPU; fewer if every node has fewer."""

OTHER_GPU_MEGABYTES = 1500
"""Memory that an actor needs on a GPU besides its weights: CUDA, and the activations of a batch."""


@dataclass(frozen=True)
class Placement:
    """The resources of one actor."""

    cpus: int
    gpus: float
    """Share of a GPU, 0 to 1."""

    @property
    def options(self) -> dict[str, Any]:
        """The options of a Ray actor that reserve these resources."""
        return {"num_cpus": self.cpus, "num_gpus": self.gpus}

    def count(self, resources: dict[str, float]) -> int:
        """Return how many actors fit on a node with these resources.

        Example:
            >>> Placement(cpus=2, gpus=0.5).count({"CPU": 16, "GPU": 2})
            4
        """
        by_cpus = resources.get("CPU", 0) // self.cpus
        # Shares are not exact: five times 0.2 is one.
        return int(min(by_cpus, resources.get("GPU", 0) / self.gpus + ROUNDING) if self.gpus else by_cpus)


def connect(address: str | None = None) -> None:
    """Connect to a Ray cluster, unless the program is connected.

    Args:
        address: Its address, or "auto" for the one that this machine belongs to. If None, the cluster of RAY_ADDRESS,
            or else a new one on this machine.

    Raises:
        ModelUnavailableError: Ray is not installed.
        WorkerError: The cluster cannot be reached.
    """
    require_extra("ray", "engine")
    import ray

    if ray.is_initialized():
        return
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.WARNING)
    except (ConnectionError, OSError, ValueError, RuntimeError) as error:
        problem = f"the Ray cluster cannot be reached ({error})"
        subject = address or os.environ.get("RAY_ADDRESS", "ray")
        raise WorkerError(subject, problem, "Check its address, and that it runs") from error


def place(profile: Profile) -> Placement:
    """Choose the resources of an actor from the models of a profile and the nodes of the cluster.

    An actor gets as large a share of a GPU as its models need if the cluster has GPUs, otherwise some CPUs.
    """
    models = {model.name for perceiver in profile.create() for model in perceiver.required_models}
    nodes = node_resources()
    if not models:
        return Placement(cpus=1, gpus=0.0)
    if not any(one.get("GPU") for one in nodes):
        return Placement(max(1, min(MODEL_CPUS, int(max(one.get("CPU", 1) for one in nodes)))), gpus=0.0)
    weights = sum(CARDS[name].memory / 2 if name in CARDS else OTHER_GPU_MEGABYTES for name in models)
    share = (weights + OTHER_GPU_MEGABYTES) / _gpu_megabytes()
    # Shares of which a whole number fits on one GPU.
    fitting = max(1, math.floor(1 / share))
    # Ray keeps four decimals; rounded up, the shares of a GPU would exceed it.
    return Placement(cpus=1, gpus=math.floor(10_000 / fitting) / 10_000)


def count_actors(placement: Placement) -> int:
    """Return how many actors fit into the cluster; at least one."""
    return max(1, sum(placement.count(one) for one in node_resources()))


def node_resources() -> list[dict[str, float]]:
    """Return the resources of the nodes of the cluster."""
    return [one["Resources"] for one in _alive_nodes()]


def has_node(node: str) -> bool:
    """Return whether the cluster has a node with this id."""
    return any(one["NodeID"] == node for one in _alive_nodes())


def create_actor(actor: type, *arguments: object, **options: Any) -> Any:
    """Create an actor of a class, and return its handle; while it works, it can report its progress."""
    import ray

    remote: Any = ray.remote(actor)  # Ray's types do not know the classes of remote methods
    return remote.options(max_concurrency=2, **options).remote(*arguments)


def _alive_nodes() -> list[dict[str, Any]]:
    import ray

    nodes: Callable[[], list[dict[str, Any]]] = ray.nodes
    return [one for one in nodes() if one["Alive"]]


def _gpu_megabytes() -> float:
    """Return the memory of a GPU of the cluster."""
    import ray

    def measure() -> int:
        import torch

        return torch.cuda.get_device_properties(0).total_memory

    return float(ray.get(ray.remote(num_cpus=0, num_gpus=0.01)(measure).remote())) / 2**20


def cause(error: Exception) -> BaseException:
    """Return the error that was raised in an actor."""
    return cast("BaseException", getattr(error, "cause", None) or error)
