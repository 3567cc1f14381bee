"""The `videochat` command."""

from langchain_videochat.cli.main import app

__all__ = ["app"]
