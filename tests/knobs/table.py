"""What each key of the identity tree changes: another value, the asset that reads it, and the files that differ.

`Bytes(value, asset, files)`: under `value` (or what it makes of the world's folder) the asset's files differ from those
under the base value. `Gate` is a check that passes under the base value and fails under the
other. Everything else is shown by a function of `shown.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.knobs import learned, shown
from tests.knobs.world import COMMON_CRAWL, CRAWLS, DUMP, JSONL, PARQUET, SECOND, WARC


@dataclass(frozen=True)
class Bytes:
    """Another value changes the bytes of files."""

    value: Any  # or a function of the world's folder
    asset: str
    files: str


@dataclass(frozen=True)
class Gate:
    """Another value makes a check of the artifact fail."""

    value: Any
    asset: str
    check: str


Entry = Bytes | Gate | shown.Shown


def source() -> dict[str, Entry]:
    return {
        "source.kind": shown.source_kind,
        "source.dump": Bytes("another", "raw_pages", "pages/"),
        "source.shard_documents": Bytes(20, "raw_pages", "pages/"),
        "source.distributions": Bytes(["rich"], "crawl_listing", "listing.parquet"),
        "source.first": Bytes(["json"], "raw_pages", "warc/"),
        "source.max_pages": Bytes(58, "raw_pages", "warc/"),
        "source.canaries": Bytes("", "raw_pages", "canaries.parquet"),
        f"{WARC}source.kind": shown.source_kind,
        f"{WARC}source.dump": Bytes("recrawl", "raw_pages", "pages/"),
        f"{WARC}source.shard_documents": Bytes(2, "raw_pages", "pages/"),
        f"{WARC}source.files": Bytes(
            lambda folder: [str(folder / "other.warc.gz"), str(folder / "first.warc.gz")], "crawl_listing", "listing"
        ),
        f"{COMMON_CRAWL}source.kind": shown.source_kind,
        f"{COMMON_CRAWL}source.dump": Bytes("recrawl", "raw_pages", "pages/"),
        f"{COMMON_CRAWL}source.shard_documents": Bytes(2, "raw_pages", "pages/"),
        f"{COMMON_CRAWL}source.crawl": Bytes(CRAWLS[1], "crawl_listing", "listing"),
        f"{COMMON_CRAWL}source.first_file": Bytes(1, "crawl_listing", "listing"),
        f"{COMMON_CRAWL}source.max_files": Bytes(2, "crawl_listing", "listing"),
    }


def rows(prefix: str) -> dict[str, Entry]:
    """The keys of a source whose text is ready."""
    suffix = prefix[:-1]

    def both(folder: Path) -> list[str]:
        return [str(folder / f"{name}.{suffix}") for name in ("other", "first")]

    columns = {"text": "summary", "id": "key", "url": "canonical", "date": "added"}
    return {
        f"{prefix}source.kind": shown.source_kind,
        f"{prefix}source.dump": Bytes("other-rows", "raw_pages", "pages/"),
        f"{prefix}source.shard_documents": Bytes(2, "raw_pages", "pages/"),
        f"{prefix}source.files": Bytes(both, "crawl_listing", "listing"),
        **{f"{prefix}source.{key}": Bytes(value, "raw_pages", "pages/") for key, value in columns.items()},
    }


def pages() -> dict[str, Entry]:
    def replaced(name: str, content: str) -> Callable[[Path], Any]:
        def write(folder: Path) -> str:
            (folder / name).write_text(content)
            return str(folder / name)

        return write

    rule = "- {domain: town.example, reason: a test, who: a test, when: 2024-05-01}\n"
    blocked = replaced("blocked.txt", "town.example\n")
    return {
        "curation.takedowns.rules": Bytes(replaced("rules.yaml", rule), "takedowns", "rules.parquet"),
        "curation.url.soft_word_threshold": Bytes(1, "url_filtered", "verdicts/"),
        "curation.url.block_lists": Bytes(lambda folder: [blocked(folder)], "url_filtered", "verdicts/"),
        "curation.extraction.extractor": Bytes("trafilatura", "extracted_text", "text/"),
        "curation.extraction.max_html_bytes": Bytes(4000, "extracted_text", "verdicts/"),
        "curation.extraction.timeout_seconds": shown.extraction_timeout,
        "curation.extraction.opt_outs": shown.opt_outs,
        "curation.extraction.opt_out_agents": shown.opt_outs,
        "curation.language.model": shown.language_model,
        "curation.language.languages": Bytes(["fr"], "language_filtered", "verdicts/"),
        "curation.language.threshold": Bytes(0.99, "language_filtered", "verdicts/"),
        "curation.language.characters": Bytes(40, "language_filtered", "verdicts/"),
    }


def texts() -> dict[str, Entry]:
    least = {
        "min_words": 120,
        "min_mean_word_length": 5.0,
        "min_alpha_words": 0.95,
        "min_stop_words": 9,
    }
    most = {
        "max_words": 150,
        "max_mean_word_length": 4.5,
        "max_symbol_ratio": 0.0,
        "max_bullet_lines": 0.0,
        "max_ellipsis_lines": 0.0,
        **{f"dup_{part}_frac": 0.0 for part in ("para", "para_char", "line", "line_char")},
        **{f"top_{n}_gram": 0.0 for n in (2, 3, 4)},
        **{f"duplicated_{n}_n_grams": 0.0 for n in range(5, 11)},
    }
    c4 = {
        "min_sentences": 12,
        "min_words_per_line": 6,
        "max_word_length": 12,
        "cut_citations": False,
        "cut_javascript": False,
        "cut_policy": False,
        "drop_lorem_ipsum": False,
        "drop_curly_bracket": False,
    }
    custom = {
        "line_punct_ratio": 1.0,
        "short_line_ratio": 0.0,
        "short_line_length": 60,
        "char_dup_ratio": 0.0,
        "list_ratio": 0.01,
        "overlap_ngram": 10,
        "filters": [{"_target_": "datatrove.pipeline.filters.RegexFilter", "regex_exp": "ferry"}],
    }
    signatures = {"ngram": 4, "bands": 7, "rows": 4, "seed": 2}
    kinds = ("emails", "ipv4", "ipv6", "phones", "credit_cards", "ibans", "ssns")
    pii = {**dict.fromkeys(kinds, False), "heldout_fraction": 0.4, "heldout_seed": 2}
    return {
        **{
            f"curation.gopher.{key}": Bytes(value, "gopher_filtered", "verdicts/")
            for key, value in (least | most).items()
        },
        **{
            f"curation.minhash.signatures.{key}": Bytes(value, "minhash_signatures", "signatures/")
            for key, value in signatures.items()
        },
        "curation.minhash.threshold": Bytes(0.95, "minhash_deduped", "verdicts/"),
        "curation.minhash.scope": shown.minhash_across_dumps,
        "curation.minhash.against": shown.minhash_across_dumps,
        **{f"curation.c4.{key}": Bytes(value, "c4_filtered", "text/") for key, value in c4.items()},
        **{f"curation.custom.{key}": Bytes(value, "custom_filtered", "verdicts/") for key, value in custom.items()},
        "curation.custom.modules": shown.custom_modules,
        "curation.custom.files": learned.files,
        "curation.custom.overlap_share": learned.overlap_share,
        "curation.custom.min_quality": learned.min_quality,
        "curation.quality.labels": Bytes(
            lambda folder: [learned.labels_file(folder)], "quality_classifier", "heldout.parquet"
        ),
        "curation.quality.good_from": learned.trained("good_from", 0.95),
        "curation.quality.folds": learned.trained("folds", 3, "heldout.parquet"),
        "curation.quality.epochs": learned.trained("epochs", 3),
        "curation.quality.learning_rate": learned.trained("learning_rate", 0.1),
        "curation.quality.width": learned.trained("width", 4),
        "curation.quality.min_texts": learned.trained("min_texts", 3),
        "curation.quality.seed": learned.trained("seed", 2),
        **{f"curation.pii.{key}": Bytes(value, "pii_redacted", "text/") for key, value in pii.items()},
    }


def tokens() -> dict[str, Entry]:
    return {
        "tokenizer.dumps": Bytes([DUMP, SECOND], "tokenizer", "tokenizer.json"),
        "tokenizer.vocab_size": Bytes(380, "tokenizer", "tokenizer.json"),
        "tokenizer.pattern": Bytes("gpt2", "tokenizer", "tokenizer.json"),
        "tokenizer.sample_bytes": Bytes(30_000, "tokenizer", "tokenizer.json"),
        "tokens.dtype": Bytes("uint32", "token_arrays", "train/"),
    }


def optimisation(step: str, asset: str) -> dict[str, Entry]:
    """The keys that pretraining and finetuning share."""
    weights = {
        "optimizer": {"pretrain": "adamw", "sft": "muon"}[step],
        "learning_rate": 2e-3,
        "warmup": 0.4,
        "decay": 0.45,
        "weight_decay": 0.5,
        "clip": 0.01,
        "precision": "bf16",
        "seed": 7,
    }
    return {
        **{f"{step}.{key}": Bytes(value, asset, "model.safetensors") for key, value in weights.items()},
        f"{step}.batch_tokens": Bytes({"pretrain": 512, "sft": 1024}[step], asset, "history.parquet"),
        f"{step}.sequence": Bytes({"pretrain": 32, "sft": 64}[step], asset, "history.parquet"),
        f"{step}.device_tokens": shown.device_tokens(step, asset),
        f"{step}.validate_every": Bytes(3, asset, "history.parquet"),
    }


def models() -> dict[str, Entry]:
    shape = {"width": 48, "depth": 1, "heads": 4, "kv_heads": 2, "ffn": 32, "rope_theta": 100.0, "norm_eps": 0.5}
    whole = {key: Bytes(value, "base_model", "model.safetensors") for key, value in shape.items()}
    whole |= {
        "context": Bytes(96, "base_model", "config.json"),
        "tie_embeddings": Bytes(False, "base_model", "model.safetensors"),
    }
    return {
        **{f"model.{key}": shown.model_is_pretrained for key in whole},
        **{f"pretrain.model.{key}": entry for key, entry in whole.items()},
        **optimisation("pretrain", "base_model"),
        "pretrain.dumps": Bytes([DUMP, SECOND], "base_model", "seen.parquet"),
        "pretrain.tokens": Bytes(1024, "base_model", "model.safetensors"),
        "pretrain.heldout_tokens": Bytes(512, "base_model", "history.parquet"),
        "pretrain.max_ratio_to_xz": Gate(0.01, "base_model", "bits_per_byte_under_xz"),
        **optimisation("sft", "sft_model"),
        "sft.context": shown.sft_context,
        "sft.epochs": Bytes(2, "sft_model", "model.safetensors"),
    }


def questions() -> dict[str, Entry]:
    tasks = {"arithmetic_problems": 20, "arithmetic_largest": 6, "heldout": 0.5, "seed": 12}
    mixture = {
        "max_subjects": 10,
        "phrasings": 2,
        "answer_characters": 60,
        "repeat_handwritten": 2,
        "heldout": 0.3,
        "seed": 53,
    }
    return {
        "tasks.files": Bytes([], "eval_sets", "benchmarks.parquet"),
        "tasks.canaries": Bytes("", "eval_sets", "benchmarks.parquet"),
        **{f"tasks.{key}": Bytes(value, "eval_sets", "arithmetic") for key, value in tasks.items()},
        "conversations.dumps": Bytes([SECOND], "conversations", "train.jsonl"),
        "conversations.handwritten": shown.other_conversations("conversations.handwritten"),
        "conversations.files": shown.other_conversations("conversations.files"),
        **{f"conversations.{key}": Bytes(value, "conversations", "train.jsonl") for key, value in mixture.items()},
    }


def evaluation() -> dict[str, Entry]:
    harness = {
        "seed": (6, "dreams"),
        "heldout_bytes": (1500, "lines"),
        "window": (16, "lines"),
        "prime_bytes": (2000, "scores"),
        "questions": (2, "answers"),
        "taught_questions": (1, "answers"),
        "asked": (["Who are you?"], "answers"),
        "answer_tokens": (3, "answers"),
        "resamples": (120, "scores"),
        "dreams": (3, "dreams"),
        "dream_prompts": (["json."], "dreams"),
        "dream_tokens": (4, "dreams"),
        "temperature": (4.0, "dreams"),
        "top_p": (0.02, "dreams"),
    }
    return {
        **{
            f"evaluation.harness.{key}": Bytes(value, "evaluations", f"{table}.parquet")
            for key, (value, table) in harness.items()
        },
        "evaluation.harness.max_ratio_to_xz": Gate(0.02, "evaluations", "bits_per_byte_gate"),
        "evaluation.harness.min_answer_gain": Gate(50.0, "evaluations", "sft_beats_base"),
        "evaluation.report.template": shown.other_template,
        "evaluation.report.title": Bytes("Another title", "report_card", "report_card.json"),
        "evaluation.report.samples": Bytes(1, "report_card", "report_card.json"),
    }


IDENTITY: dict[str, Entry] = {
    **source(),
    **rows(PARQUET),
    **rows(JSONL),
    **pages(),
    **texts(),
    **tokens(),
    **models(),
    **questions(),
    **evaluation(),
}
