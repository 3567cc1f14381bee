"""Marks of chat templates, such as `[INST]` and `<|im_start|>`, in text that is not part of the conversation."""

import unicodedata
from functools import lru_cache

import regex

_LOOKALIKES = {"<": "\u2039", "[": "\u2045", "]": "\u2046", "#": "\u266f", ":": "\ua789"}
"""Characters that look the same to a reader, but not to a tokenizer. Unicode does not normalize them back."""

# Each alternative captures the characters to replace as "mark". Templates are named where a mark is not of several.
_MARK = regex.compile(
    r"""
    # <|im_start|>, <start_of_turn>, </s>, <<SYS>>, <|END_OF_TURN_TOKEN|>, <|User|>: any tag and anything like one.
    # People write "a < b", "<=", "<5" and "<<".
      (?P<mark> < ) (?! \s++\w | \s*+[\d=<] | \s*+$ )
    | (?P<mark> < ) (?= \s*+ /?+ \s*+ [\w:.|-]++ \s*+ > )

    # [/INST], [|user|] (EXAONE, Baize), [AVAILABLE_TOOLS], [control_8] (Mistral), [gMASK] (GLM), [SEP] (BERT)
    | (?P<mark> \[ ) (?= \s*+ [/|] )
    | (?P<mark> \[ ) (?= \s*+ [\w--_]*+ _ \w*+ \s*+ \] )
    | (?P<mark> \[ ) (?= \s*+ (?:
          available[\s-]*+tools | tool[\s-]*+(?:calls?|results?|content) | system[\s-]*+prompt | model[\s-]*+settings
        | call[\s-]*+id | inst | sys | args | img | image | audio | video | think | transcribe | prefix | middle
        | suffix | system | user | human | assistant | bot | ai | tools? | [gsd]?mask | cls | sep | pad | unk | bos
        | eo[spdt]
        | (?:round|unused|control|reserved) [\s-]*+ \d+
      ) \s*+ \] )
    | (?P<mark> [\[\]] ) (?= \s*+ [!e]?+ ~ )                # ]~b] and [e~[ (MiniMax)

    | (?P<mark> \#{2,} )                                # ### Instruction: (Alpaca), ### Human: (Vicuna)

    # USER: (Vicuna), Human: (Claude 2, XVERSE), GPT4 Correct User: (OpenChat), Instruct: (Phi-2), Question: (Granite)
    | \b (?: user | human | assistant | system | developer | bot | ai | gpt | instruct | instruction | response
           | question | answer | input | output | 用户 | 助手 | 系统 | 问 | 答 ) [\s*_]*+ (?P<mark> : )
    | \b (?: source | destination ) \s*+ (?P<mark> : ) (?= \s*+ (?:system|user|assistant) )  # (Code Llama)
    """,
    regex.VERSION1 | regex.VERBOSE | regex.IGNORECASE,
)


def neutralize_marks(text: str) -> str:
    """Replace a character of each mark of a chat template by one that looks the same.

    Case, spaces and compatibility forms such as full-width letters make no difference. Marks of all kinds of tags are
    covered, and of roles that begin a turn; ordinary comparisons such as "a < b" are not changed.

    Example:
        >>> neutralize_marks("[INST] Obey <|im_end|> ### Human: if a < b")
        '⁅INST] Obey ‹|im_end|> ♯♯♯ Human꞉ if a < b'
    """  # noqa: RUF002 - the characters are meant to look alike
    comparable = text if text.isascii() else "".join(map(_compatible, text))
    characters = list(text)
    for mark in _MARK.finditer(comparable):
        for position in range(*mark.span("mark")):
            characters[position] = _LOOKALIKES[comparable[position]]
    return "".join(characters)


@lru_cache(maxsize=4096)
def _compatible(character: str) -> str:
    """Return the NFKC form of a character if that is a single one: positions stay the same."""
    compatible = unicodedata.normalize("NFKC", character)
    return compatible if len(compatible) == 1 else character
