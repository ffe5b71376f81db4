"""The five special tokens, and the chat template that says in Jinja what `chat.py` says in Python.

A conversation is `<|im_start|>role<|im_sep|>content<|im_end|>`, message after message, with nothing between. A
document of the corpus is its text followed by `<|endoftext|>`.
"""

from __future__ import annotations

END_OF_TEXT = "<|endoftext|>"
IM_START = "<|im_start|>"
IM_SEP = "<|im_sep|>"
IM_END = "<|im_end|>"
PAD = "<|pad|>"

# In id order: they are the last ids of every vocabulary, so a token's id is its merge rank.
SPECIAL_TOKENS = (END_OF_TEXT, IM_START, IM_SEP, IM_END, PAD)

ROLES = ("system", "user", "assistant")


def chat_template() -> str:
    """The Jinja template for `apply_chat_template`: the ids of `chat.render` and `chat.render_prompt`.

    A template yields a string, in which a message that spells a special token would become it. So each such spelling
    gets a space after its `<`; only there the ids differ from `chat.render`, which keeps the words as they are.
    """
    defused = "".join(f" | replace('{token}', '{token.replace('<', '< ', 1)}')" for token in SPECIAL_TOKENS)
    roles = ", ".join(f"'{role}'" for role in ROLES)
    return (
        "{%- for message in messages -%}"
        f"{{%- if message['role'] not in [{roles}] -%}}"
        "{{- raise_exception('unknown role ' + message['role']) -}}"
        "{%- endif -%}"
        f"{{{{- '{IM_START}' + message['role'] + '{IM_SEP}' -}}}}"
        f"{{{{- message['content']{defused} -}}}}"
        f"{{{{- '{IM_END}' -}}}}"
        "{%- endfor -%}"
        f"{{%- if add_generation_prompt -%}}{{{{- '{IM_START}assistant{IM_SEP}' -}}}}{{%- endif -%}}"
    )
