"""What parts of the package need beside the package itself."""

from importlib.util import find_spec

from langchain_videochat.errors import ModelUnavailableError

EXTRAS = {
    "app": ("matplotlib", "starlette", "uvicorn"),
    "instruct": ("datasketch", "matplotlib", "py3langid"),
    "train": ("accelerate", "tensorboard"),
}
"""Packages that are looked for, by the extra that installs them."""


def require_extra(extra: str, subject: str) -> None:
    """Make sure that the packages of an extra are here, before any work is done.

    Args:
        extra: Its name, one of `EXTRAS`.
        subject: What needs it.

    Raises:
        ModelUnavailableError: One is not installed.
    """
    for package in EXTRAS[extra]:
        if find_spec(package) is None:
            advice = f'Run `pip install "langchain-videochat[{extra}]"`'
            raise ModelUnavailableError(subject, f"the package {package} is not installed", advice)
