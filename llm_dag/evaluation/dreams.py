"""Dreams: what the base model writes when nobody asks.

Each begins behind `<|endoftext|>`, as a document does: with nothing, or with a few words to go on from. Draws come from
the seed and the dream's number alone.
"""

from __future__ import annotations

from llm_dag.config.evaluation import Harness
from llm_dag.modeling.generation import generate
from llm_dag.modeling.sampling import Sampling
from llm_dag.modeling.transformer import Transformer
from llm_dag.tokenization.vocabulary import Vocabulary


def dream(model: Transformer, vocabulary: Vocabulary, config: Harness) -> list[dict[str, str]]:
    """Rows of `DREAMS`: those from nothing first, then one for each prompt."""
    beginnings = [""] * config.dreams + list(config.dream_prompts)
    prompts = [[vocabulary.end_of_text, *vocabulary.encode(beginning)] for beginning in beginnings]
    sampling = Sampling(
        temperature=config.temperature,
        top_k=0,
        top_p=config.top_p,
        max_new_tokens=config.dream_tokens,
        seed=config.seed,
    )
    completions = generate(model, vocabulary, prompts, sampling)
    return [
        {"prompt": beginning, "text": vocabulary.decode(completion.spoken)}
        for beginning, completion in zip(beginnings, completions, strict=True)
    ]
