"""The thinking that some language models write before they answer, between tags."""

import regex

_FLAGS = regex.VERSION1 | regex.VERBOSE | regex.IGNORECASE

_THOUGHT = r"(?: think(?:ing)? | thoughts? | reasoning(?:_content)? | reflection | analysis )"
_BEGINS = regex.compile(rf"[<\[◁] \s*+ {_THOUGHT} \s*+ [>\]▷]", _FLAGS)
_ENDS = regex.compile(rf"[<\[◁] \s*+ / \s*+ {_THOUGHT} \s*+ [>\]▷]", _FLAGS)


def without_thinking(text: str) -> str:
    """Return an answer without thinking.

    Example:
        >>> without_thinking("<think>Two or three?</think>Two."), without_thinking("Two or three?</think>Two.")
        ('Two.', 'Two.')
    """
    # Templates may put the opening tag into the prompt; a model that is cut off does not write the closing one.
    ends = [tag.end() for tag in _ENDS.finditer(text)]
    rest = text[ends[-1] :] if ends else text
    begins = _BEGINS.search(rest)
    return rest[: begins.start()] if begins else rest


def thinking_length(start: str) -> int | None:
    """Return the length of the thinking that an answer begins with; None if the thinking has not ended yet.

    Example:
        >>> thinking_length("Two."), thinking_length("<think>Two or"), thinking_length("<think>Two</think>Two.")
        (0, None, 18)
    """
    position = len(start) - len(start.lstrip())
    if not _BEGINS.match(start, position, partial=True) or position == len(start):
        return 0
    ends = _ENDS.search(start, position)
    return ends.end() if ends else None
