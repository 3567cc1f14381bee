"""Instruction data: descriptions of videos and conversations about them, written by a language model (paper 3.2.2)."""

from typing import TYPE_CHECKING

from langchain_videochat.utils.lazy import lazy_exports

if TYPE_CHECKING:
    from langchain_videochat.instruct.chains import create_conversation_chain, create_description_chain
    from langchain_videochat.instruct.cost_estimate import Estimate, estimate
    from langchain_videochat.instruct.dataset_export import export
    from langchain_videochat.instruct.dataset_statistics import ExportReport
    from langchain_videochat.instruct.generate import GenerationReport, generate_instructions
    from langchain_videochat.instruct.item_generator import ItemFailure
    from langchain_videochat.instruct.items import GateFailure, InstructionItem, QAPair
    from langchain_videochat.instruct.plan import InstructionPlan

__all__ = [
    "Estimate",
    "ExportReport",
    "GateFailure",
    "GenerationReport",
    "InstructionItem",
    "InstructionPlan",
    "ItemFailure",
    "QAPair",
    "create_conversation_chain",
    "create_description_chain",
    "estimate",
    "export",
    "generate_instructions",
]

_EXPORTS = {
    "chains": ("create_conversation_chain", "create_description_chain"),
    "cost_estimate": ("Estimate", "estimate"),
    "dataset_export": ("export",),
    "dataset_statistics": ("ExportReport",),
    "generate": ("GenerationReport", "generate_instructions"),
    "item_generator": ("ItemFailure",),
    "items": ("GateFailure", "InstructionItem", "QAPair"),
    "plan": ("InstructionPlan",),
}

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)
