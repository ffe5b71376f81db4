"""The chat template: what `chat.py` says in Python, said in Jinja for `transformers` and its kin.

It is apart from the token names, so that editing it leaves the token arrays fresh.
"""

from __future__ import annotations

from llm_dag.tokenization.messages import ROLES
from llm_dag.tokenization.special_tokens import IM_END, IM_SEP, IM_START, SPECIAL_TOKENS


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
