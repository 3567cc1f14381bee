"""Instruction data: descriptions of videos and conversations about them, written by a language model (paper 3.2.2)."""

from typing import TYPE_CHECKING

from langchain_videochat.utils.lazy import lazy_exports

if TYPE_CHECKING:
    from langchain_videochat.instruct.chains import create_conversation_chain, create_description_chain
    from langchain_videochat.instruct.estimating import Estimate, estimate
    from langchain_videochat.instruct.exporting import export
    from langchain_videochat.instruct.generate import RunReport, make_instructions
    from langchain_videochat.instruct.items import Fault, Item, Pair
    from langchain_videochat.instruct.making import Failure
    from langchain_videochat.instruct.plan import Plan
    from langchain_videochat.instruct.statistics import ExportReport

__all__ = [
    "Estimate",
    "ExportReport",
    "Failure",
    "Fault",
    "Item",
    "Pair",
    "Plan",
    "RunReport",
    "create_conversation_chain",
    "create_description_chain",
    "estimate",
    "export",
    "make_instructions",
]

_MODULES = {
    "Estimate": "estimating",
    "ExportReport": "statistics",
    "Failure": "making",
    "Fault": "items",
    "Item": "items",
    "Pair": "items",
    "Plan": "plan",
    "RunReport": "generate",
    "create_conversation_chain": "chains",
    "create_description_chain": "chains",
    "estimate": "estimating",
    "export": "exporting",
    "make_instructions": "generate",
}

__getattr__, __dir__ = lazy_exports(__name__, _MODULES)
