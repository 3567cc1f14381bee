"""What making instruction data needs beside the package itself."""

from importlib.util import find_spec

from langchain_videochat.errors import ModelUnavailableError

PACKAGES = ("datasketch", "matplotlib", "py3langid")


def check_packages() -> None:
    """Make sure that the packages are here, before any model is asked.

    Raises:
        ModelUnavailableError: One is not installed.
    """
    for package in PACKAGES:
        if find_spec(package) is None:
            advice = 'Run `pip install "langchain-videochat[instruct]"`'
            raise ModelUnavailableError("instruction data", f"the package {package} is not installed", advice)
