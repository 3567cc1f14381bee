"""Tables of ratios in Markdown."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol


class Measured(Protocol):
    """The result of a benchmark."""

    def markdown(self) -> str:
        """Return its tables as Markdown."""


@dataclass(frozen=True)
class Measurement:
    """A measurement and its reference, both in the unit of the table."""

    name: str
    amount: float
    reference: str
    reference_amount: float
    ratio: float
    target: str = ""
    met: bool | None = None


@dataclass
class Table:
    """A table of related measurements."""

    title: str
    unit: str
    measurements: list[Measurement] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def speed(
        self, name: str, amount: float, reference: str, reference_amount: float, *, at_least: float | None = None
    ) -> None:
        """Add a measurement as a speedup over the reference."""
        ratio = reference_amount / amount
        target, met = ("", None) if at_least is None else (f"at least {at_least:g}", ratio >= at_least)
        self.measurements.append(Measurement(name, amount, reference, reference_amount, ratio, target, met))

    def cost(
        self, name: str, amount: float, reference: str, reference_amount: float, *, at_most: float | None = None
    ) -> None:
        """Add a measurement as a cost relative to the reference."""
        ratio = amount / reference_amount
        target, met = ("", None) if at_most is None else (f"at most {at_most:g}", ratio <= at_most)
        self.measurements.append(Measurement(name, amount, reference, reference_amount, ratio, target, met))

    def markdown(self) -> str:
        """Return the table as Markdown."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield f"## {self.title}\n"
        yield f"| measured | {self.unit} | reference | {self.unit} | ratio | target | met |"
        yield "| --- | ---: | --- | ---: | ---: | --- | --- |"
        for one in self.measurements:
            met = {True: "yes", False: "**no**", None: ""}[one.met]
            amounts = f"{_short(one.amount)} | {one.reference} | {_short(one.reference_amount)}"
            yield f"| {one.name} | {amounts} | {one.ratio:.2f} | {one.target} | {met} |"
        yield from (f"\n{note}" for note in self.notes)


@dataclass(frozen=True)
class Grid:
    """A table that compares several methods by several figures."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    text_columns: int = 1
    """Number of columns before the figures."""
    notes: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        """Return the table as Markdown."""
        figures = len(self.columns) - self.text_columns
        rules = ["---"] * self.text_columns + ["---:"] * figures
        lines = [f"| {' | '.join(cells)} |" for cells in (self.columns, rules, *self.rows)]
        return "\n".join([f"## {self.title}\n", *lines, *(f"\n{note}" for note in self.notes)]) + "\n"


def _short(amount: float) -> str:
    return f"{amount:,.0f}" if amount >= 100 else f"{amount:.3g}"


def progress(text: str) -> None:
    """Print a progress message to standard error."""
    print(text, file=sys.stderr, flush=True)
