"""Tables of ratios, and how they are printed."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Figure:
    """One measurement beside its reference, both in the table's unit."""

    what: str
    amount: float
    reference: str
    reference_amount: float
    ratio: float
    target: str = ""
    met: bool | None = None


@dataclass
class Table:
    """Figures of one kind."""

    title: str
    unit: str
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def speed(
        self, what: str, amount: float, reference: str, reference_amount: float, *, at_least: float | None = None
    ) -> None:
        """Add a figure that says how many times as fast as the reference something is."""
        ratio = reference_amount / amount
        target, met = ("", None) if at_least is None else (f"at least {at_least:g}", ratio >= at_least)
        self.figures.append(Figure(what, amount, reference, reference_amount, ratio, target, met))

    def cost(
        self, what: str, amount: float, reference: str, reference_amount: float, *, at_most: float | None = None
    ) -> None:
        """Add a figure that says how many times as much as the reference something costs."""
        ratio = amount / reference_amount
        target, met = ("", None) if at_most is None else (f"at most {at_most:g}", ratio <= at_most)
        self.figures.append(Figure(what, amount, reference, reference_amount, ratio, target, met))

    def markdown(self) -> str:
        """Write the table as Markdown."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield f"## {self.title}\n"
        yield f"| measured | {self.unit} | reference | {self.unit} | ratio | target | met |"
        yield "| --- | ---: | --- | ---: | ---: | --- | --- |"
        for one in self.figures:
            met = {True: "yes", False: "**no**", None: ""}[one.met]
            amounts = f"{_short(one.amount)} | {one.reference} | {_short(one.reference_amount)}"
            yield f"| {one.what} | {amounts} | {one.ratio:.2f} | {one.target} | {met} |"
        yield from (f"\n{note}" for note in self.notes)


def _short(amount: float) -> str:
    return f"{amount:,.0f}" if amount >= 100 else f"{amount:.3g}"


def progress(text: str) -> None:
    """Tell on standard error what is running."""
    print(text, file=sys.stderr, flush=True)
