"""The base model: next-token prediction over the token arrays of the named dumps.

data/   a Hugging Face folder; history.parquet; what was read: seen.parquet by document, seen_ranges.parquet by token
record/ speed.parquet
"""

from __future__ import annotations

import numpy as np

from llm_dag.config.model import Model
from llm_dag.config.pretrain import Pretrain
from llm_dag.ledger import write_table
from llm_dag.modeling.huggingface import save_model
from llm_dag.modeling.transformer import ModelShape, Transformer
from llm_dag.store.errors import StoreError
from llm_dag.store.work import Work
from llm_dag.tokenization.arrays import TokenArrays
from llm_dag.tokenization.vocabulary import Vocabulary
from llm_dag.training.fit import fit, write_history
from llm_dag.training.loop import Run
from llm_dag.training.machine import choose
from llm_dag.training.windows import HeldoutWindows, Windows, seen_documents, seen_ranges


class TokenizerMismatch(StoreError):
    """The arrays were made with another tokenizer."""


def build(work: Work) -> None:
    """Train the base model. Resumes from `work.scratch`; equal witnesses give equal bytes."""
    node: Pretrain = work.config
    tokenizer = work.input("tokenizer").folder()
    vocabulary = Vocabulary.load(tokenizer)
    arrays = TokenArrays.open(work.inputs("token_arrays"), "train")
    if arrays.vocabulary != vocabulary.digest:
        raise TokenizerMismatch(
            f"token_arrays were made with the tokenizer {arrays.vocabulary}, and {vocabulary.digest} is given"
        )
    machine = choose(work.compute, node.precision)
    work.witness |= machine.witness
    windows = Windows(arrays, node.sequence, node.batch_tokens // node.sequence, node.seed)
    heldout = HeldoutWindows.choose(
        TokenArrays.open(work.inputs("token_arrays"), "heldout"), node.sequence, node.heldout_tokens, node.seed
    )
    run = Run(
        node=node,
        steps=node.tokens // node.batch_tokens,
        rows=windows,
        heldout=heldout,
        heldout_bytes=label_bytes(heldout, vocabulary),
        machine=machine,
        witness=dict(work.witness),
        checkpoints=work.scratch("checkpoints/step").parent,
        checkpoint_seconds=work.compute.checkpoint_seconds,
        name=work.recipe,
    )
    shape = shape_of(node.model, vocabulary.size)
    model = Transformer(shape)
    model.initialise(node.seed)
    parameters = sum(weight.numel() for weight in model.parameters())
    epochs = run.steps * windows.rows / windows.count
    work.progress.say(
        f"{parameters:,} parameters; {run.steps} steps × {node.batch_tokens:,} tokens = "
        f"{run.steps * node.batch_tokens:,} of {len(arrays):,} ({epochs:.2f} epochs); "
        f"{machine.device}, {machine.precision}, {'compiled' if machine.compiled else 'eager'}"
    )
    fitted = fit(model, run, work.progress)
    save_model(work.data("config.json").parent, shape, fitted.state, tokenizer)
    write_history(work, fitted)
    write_table(seen_documents(windows, run.steps), work.data("seen.parquet"))
    write_table(seen_ranges(windows, run.steps), work.data("seen_ranges.parquet"))
    seconds = np.array([row["seconds"] for row in fitted.speed])
    work.metrics |= {
        "parameters": parameters,
        "steps": run.steps,
        "tokens": run.steps * node.batch_tokens,
        "epochs": epochs,
        "tokens_of_corpus": len(arrays),
        "tokens_cropped": windows.cropped,
        "loss": fitted.last("loss"),
        "heldout_loss": fitted.last("heldout_loss"),
        "heldout_bits_per_byte": fitted.last("heldout_bits_per_byte"),
        "heldout_bytes": run.heldout_bytes,
        "tokens_per_second": node.batch_tokens / float(np.median(seconds)),
        "teraflops": flops_per_token(shape, node.sequence) * node.batch_tokens / float(np.median(seconds)) / 1e12,
    }


def shape_of(model: Model, vocab_size: int) -> ModelShape:
    """The configured shape over a vocabulary."""
    return ModelShape(
        vocab_size=vocab_size,
        width=model.width,
        depth=model.depth,
        heads=model.heads,
        kv_heads=model.kv_heads,
        ffn=model.ffn,
        context=model.context,
        rope_theta=model.rope_theta,
        norm_eps=model.norm_eps,
        tie_embeddings=model.tie_embeddings,
    )


def label_bytes(heldout: HeldoutWindows, vocabulary: Vocabulary) -> int:
    """The bytes of text that the held-out labels stand for; a special token stands for none."""
    special = set(vocabulary.special_ids.values())
    sizes = np.array([0 if at in special else len(vocabulary.token_bytes(at)) for at in range(vocabulary.size)])
    return sum(int(sizes[heldout.ids(at)[1:].astype(np.int64)].sum()) for at in range(len(heldout)))


def flops_per_token(shape: ModelShape, sequence: int) -> float:
    """Multiplications and additions of one trained token: 6 for each weight of a matrix product, and attention's own
    12 · depth · width · sequence / 2 over the causal half. A model's FLOPs, whatever the kernels really compute."""
    attention = shape.width * shape.head_dim * (2 * shape.heads + 2 * shape.kv_heads)
    layers = shape.depth * (attention + 3 * shape.width * shape.ffn)
    head = shape.width * shape.vocab_size
    return 6.0 * (layers + head) + 6.0 * shape.depth * shape.width * sequence
