"""Formats that nest: MP4 boxes, EBML elements and RIFF chunks as one kind of tree."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random


@dataclass
class Node:
    """A box, an element or a chunk."""

    kind: bytes
    """Its type or id."""

    content: bytes = b""
    """What it holds; if it has children, what it holds before them."""

    children: "list[Node] | None" = None
    """Its children; None if it cannot have any."""

    size: bytes | None = None
    """The bytes of a false size; None for the true one."""

    def copy(self) -> "Node":
        """Copy the tree."""
        return replace(self, children=None if self.children is None else [child.copy() for child in self.children])


def walk(nodes: list[Node]) -> Iterator[Node]:
    """Yield all nodes of a tree, parents first."""
    for node in nodes:
        yield node
        yield from walk(node.children or [])


def sibling_lists(nodes: list[Node]) -> list[list[Node]]:
    """Return all lists of siblings that are not empty."""
    return [siblings for siblings in (nodes, *(node.children for node in walk(nodes))) if siblings]


def leaves(nodes: list[Node]) -> list[Node]:
    """Return the nodes that have some content and cannot have children."""
    return [node for node in walk(nodes) if node.children is None and node.content]


def rearrange(random: Random, nodes: list[Node]) -> None:
    """Drop, duplicate, swap or move a node."""
    siblings = random.choice(sibling_lists(nodes))
    place = random.randrange(len(siblings))
    action = random.choice(("drop", "duplicate", "swap", "move"))
    if action == "drop":
        del siblings[place]
    elif action == "duplicate":
        copies = random.choice((1, 1, 2, 50))
        siblings[place:place] = [siblings[place].copy() for _ in range(copies)]
    elif action == "swap":
        other = random.randrange(len(siblings))
        siblings[place], siblings[other] = siblings[other], siblings[place]
    else:
        node = siblings[place].copy()
        random.choice(sibling_lists(nodes)).append(node)
