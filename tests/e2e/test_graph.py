"""From an empty store to an assistant that answers, through each of the three doors."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import House

pytestmark = pytest.mark.slow


def built(output: str) -> set[str]:
    """The assets of a summary that were not reused."""
    return {line.split()[0] for line in output.splitlines() if re.match(r"^\w+ +(built|resumed) ", line)}


def test_one_command_takes_the_crawl_to_an_assistant(house: House, first_run: subprocess.CompletedProcess[str]) -> None:
    assert first_run.returncode == 0, first_run.stdout[-4000:] + first_run.stderr[-4000:]
    assert "Traceback" not in first_run.stderr
    some = {"raw_pages", "pii_redacted", "tokenizer", "base_model", "sft_model", "report_card"}
    assert some <= built(first_run.stdout)
    page = Path(re.search(r"report card: (\S+)", first_run.stdout)[1])  # type: ignore[index]
    assert "<html" in page.read_text("utf-8")[:2000]


def test_the_assistant_answers_in_the_terminal(house: House, first_run: subprocess.CompletedProcess[str]) -> None:
    said = house.llm_dag("chat", "-m", "What does os.path.join do?")
    assert said.returncode == 0, said.stderr
    assert said.stdout.strip()


def test_the_same_command_again_recomputes_nothing(house: House, first_run: subprocess.CompletedProcess[str]) -> None:
    again = house.llm_dag("run")
    assert again.returncode == 0, again.stderr
    assert "nothing was recomputed" in again.stdout
    assert built(again.stdout) == set()


def test_a_changed_threshold_rebuilds_what_reads_it_or_changed_bytes(
    house: House, first_run: subprocess.CompletedProcess[str]
) -> None:
    plan = house.llm_dag("run", "--dry-run", "curation.gopher.min_words=60")
    assert re.search(r"gopher_filtered +build +config: min_words 50 → 60", plan.stdout)
    assert re.search(r"language_filtered +reuse", plan.stdout)
    undecided = r"minhash_signatures +undecided +rebuilds unless gopher_filtered yields the same bytes"
    assert re.search(undecided, plan.stdout)
    changed = house.llm_dag("run", "--job", "refresh_data", "curation.gopher.min_words=60")
    assert changed.returncode == 0, changed.stdout[-2000:]
    assert "gopher_filtered" in built(changed.stdout)
    assert not built(changed.stdout) & {"crawl_listing", "raw_pages", "url_filtered", "extracted_text", "eval_sets"}


def test_dagsters_own_command_shares_the_artifacts(
    house: House, first_run: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    config = tmp_path / "run.yaml"
    asked = {"scale": "ci", "overrides": list(house.overrides)}
    config.write_text(yaml.safe_dump({"resources": {"conf": {"config": asked}}}))
    done = house.command("dagster", "job", "execute", "-m", "llm_dag.definitions", "-j", "assistant", "-c", str(config))
    assert done.returncode == 0, done.stderr[-4000:]
    told = re.findall(r"(\w+): (fresh|held|build|resume|undecided)\b", done.stdout + done.stderr)
    assert len({name for name, _ in told}) == 21
    assert {state for _, state in told} == {"fresh"}


def test_a_wrong_override_ends_before_any_work_with_its_key(house: House) -> None:
    done = house.llm_dag("run", "curation.goper.min_words=60")
    assert done.returncode == 2
    assert "did you mean curation.gopher" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_show_and_verify_read_what_is_there(house: House, first_run: subprocess.CompletedProcess[str]) -> None:
    shown = house.command("llm-dag", "show", "base_model", "scale=ci", *house.overrides, "--json")
    assert shown.returncode == 0, shown.stdout
    manifest = json.loads(shown.stdout)
    assert manifest["asset"] == "base_model"
    assert set(manifest["inputs"]) == {"tokenizer", "token_arrays"}
    verified = house.llm_dag("verify")
    assert verified.returncode == 0, verified.stdout
    assert "0 faults" in verified.stdout


def test_status_names_what_made_an_asset_stale(house: House, first_run: subprocess.CompletedProcess[str]) -> None:
    status = house.llm_dag("status", "tokenizer.vocab_size=520")
    assert re.search(r"tokenizer +build +config: vocab_size 512 → 520", status.stdout), status.stdout
    assert re.search(r"pii_redacted +reuse", status.stdout)
