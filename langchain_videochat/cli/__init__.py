"""The `videochat` command."""

from langchain_videochat.cli.main import app as app
