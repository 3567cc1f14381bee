"""Optional dependencies, by the extra that installs them."""

from importlib.util import find_spec

from langchain_videochat.errors import ModelUnavailableError

EXTRAS = {
    "app": ("matplotlib", "starlette", "uvicorn"),
    "evaluation": ("pyarrow",),
    "instruct": ("datasketch", "matplotlib", "py3langid"),
    "mcp": ("mcp", "starlette", "tomlkit", "uvicorn"),
    "ray": ("ray",),
    "server": ("langchain_openai",),
    "train": ("accelerate", "peft", "tensorboard"),
}
"""Modules that each extra must provide."""


def require_extra(extra: str, subject: str) -> None:
    """Raise a ModelUnavailableError about `subject` unless all packages of an extra are installed."""
    for package in EXTRAS[extra]:
        if find_spec(package) is None:
            advice = f'Run `pip install "langchain-videochat[{extra}]"`'
            raise ModelUnavailableError(subject, f"the package {package} is not installed", advice)
