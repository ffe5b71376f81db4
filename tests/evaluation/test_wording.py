"""Numbers as a person reads them."""

from __future__ import annotations

import pytest

from llm_dag.evaluation.page import wording


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (wording.count(12345.0), "12,345"),
        (wording.count(None), "not recorded"),
        (wording.about(5_712_000), "5.71 million"),
        (wording.about(999_900), "1 million"),
        (wording.about(12_300), "12 thousand"),
        (wording.about(950), "950"),
        (wording.short(1_500_000), "1.5M"),
        (wording.short(200), "200"),
        (wording.size(1536), "1.54 kB"),
        (wording.size(None), "not recorded"),
        (wording.duration(271.4), "4\u00a0min 31\u00a0s"),
        (wording.duration(9.96), "10\u00a0s"),
        (wording.duration(7384), "2\u00a0h 3\u00a0min"),
        (wording.percent(0.1234), "12.3 %"),
        (wording.decimal(float("nan")), "not recorded"),
        (wording.decimal(-0.1), "−0.100"),
        (wording.between(1.0, None), "no interval"),
        (wording.between(-0.5, 0.25), "−0.500 to 0.250"),
        (wording.phrase("too_few_words"), "too few words"),
        (wording.visible("a\u202eb\x00\n\tc"), "a\ufffdb\ufffd\n\tc"),
    ],
)
def test_wording(found: str, wanted: str) -> None:
    assert found == wanted
