"""The graph: every step, named one by one."""

from llm_dag.assets import assistant, base, crawl, curation, evaluation, tasks, tokens
from llm_dag.store.step import Graph


def graph() -> Graph:
    """The steps of the house, each after its inputs."""
    return Graph(
        [
            crawl.crawl_listing,
            crawl.raw_pages,
            crawl.takedowns,
            curation.url_filtered,
            curation.extracted_text,
            curation.language_filtered,
            curation.gopher_filtered,
            curation.minhash_signatures,
            curation.minhash_deduped,
            curation.c4_filtered,
            curation.quality_classifier,
            curation.custom_filtered,
            curation.pii_redacted,
            tasks.eval_sets,
            tokens.tokenizer,
            tokens.token_arrays,
            base.base_model,
            assistant.conversations,
            assistant.sft_model,
            evaluation.evaluations,
            evaluation.report_card,
        ]
    )
