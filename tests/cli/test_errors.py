"""Errors that a person can act on: one line, exit 2, no traceback; faults of the program are not hidden."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from rich.console import Console

from llm_dag.cli.main import app
from llm_dag.cli.session import BAD_INPUT, plain_errors
from llm_dag.config.compose import ConfigError, compose
from llm_dag.store.errors import StoreError
from llm_dag.store.files import RemoteFiles

Command = Callable[..., tuple[int, str]]


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs the command in this process; gives its exit code and what it prints, to either stream."""
    monkeypatch.setenv("COLUMNS", "400")

    def run(*arguments: str) -> tuple[int, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as caught:
            app([*arguments])
        return int(caught.value.code or 0), "".join(capfd.readouterr())

    return run


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["status", "curation.goper.min_words=60"], "did you mean curation.gopher?"),
        (["run", "pretrain.seed"], "an override is written key=value"),
        (["run", "--job", "nothing"], "there is no job nothing; there are assistant, refresh_data, pretrain, curate"),
        (["run", "--release", "raw_pages"], "allowed is one of tokenizer, base_model"),
        (["run", "--dry-run", "--job", "nothing"], "there is no job nothing"),
        (["run", "--dry-run", "--release", "raw_pages"], "allowed is one of tokenizer, base_model"),
        (["adopt", "nothing", "abc", "--why", "so"], "there is no asset nothing"),
        (["adopt", "tokenizer", "abc", "--why", "so"], "the recipe of tokenizer is not known"),
        (["run", "--cfg", "hydra"], "--cfg hydra: allowed is job"),
        (["show", "nothing"], "there is no asset nothing; there are crawl_listing"),
        (["show", "base_model"], "base_model is not made with this configuration"),
        (["chat", "-m", "hello"], "run `llm-dag run` first, with the same overrides"),
        (["accept", "tokenizer", "round_trips_every_byte", "--why", "so"], "tokenizer is not made"),
    ],
)
def test_what_makes_no_sense_ends_with_two_and_one_line(
    command: Command, tmp_path: Path, arguments: list[str], said: str
) -> None:
    code, printed = command(*arguments, "scale=ci", f"compute.store={tmp_path / 'store'}")
    assert code == BAD_INPUT
    assert said in printed
    assert "Traceback" not in printed
    assert not (tmp_path / "store").exists() or not list((tmp_path / "store").glob("[a-z]*"))


def plain(error: BaseException) -> tuple[int, str]:
    """The exit code and what is printed when a command raises `error`."""
    out = io.StringIO()
    with pytest.raises(typer.Exit) as caught, plain_errors(Console(file=out, width=200)):
        raise error
    return caught.value.exit_code, out.getvalue()


@pytest.mark.parametrize("error", [ConfigError("key=1: allowed is [0]"), StoreError("no such artifact [red]")])
def test_words_are_printed_as_they_are(error: Exception) -> None:
    assert plain(error) == (BAD_INPUT, f"error {error}\n")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.ENOSPC, "the disk that holds /data/x is full; free some space"),
        (errno.EROFS, "/data/x is on a read-only file system"),
        (errno.EACCES, "no permission to write /data/x"),
    ],
)
def test_a_disk_that_cannot_be_written_is_named(code: int, said: str) -> None:
    exit_code, printed = plain(OSError(code, "told by the system", "/data/x"))
    assert exit_code == BAD_INPUT
    assert said in printed


def test_a_bucket_without_credentials_is_one_line(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As botocore says it: no OSError, in a module of its own, out of any operation of the store."""
    refusal = type("NoCredentialsError", (Exception,), {"__module__": "botocore.exceptions"})

    def refuse(files: RemoteFiles, name: str) -> bytes:
        raise refusal("Unable to locate credentials")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(RemoteFiles, "read", refuse)
    code, printed = command("status", "scale=ci", "compute.store=memory://bucket/store")
    assert code == BAD_INPUT
    assert "S3 cannot be used (Unable to locate credentials); wanted: AWS_ACCESS_KEY_ID" in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize("error", [KeyError("a fault"), OSError(errno.ECONNRESET, "reset")])
def test_a_fault_of_the_program_is_not_hidden(error: Exception) -> None:
    with pytest.raises(type(error)), plain_errors(Console(file=io.StringIO())):
        raise error


def test_a_store_of_no_known_kind_is_named(command: Command) -> None:
    code, printed = command("status", "scale=ci", "compute.store=nosuch://bucket")
    assert code == BAD_INPUT
    assert "compute.store=nosuch://bucket: Protocol not known" in printed


def test_a_home_that_is_no_folder_is_named(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").write_text("")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    code, printed = command("run", "scale=ci", f"compute.store={tmp_path / 'store'}")
    assert code == BAD_INPUT
    assert f"DAGSTER_HOME={tmp_path / 'home'}: File exists; wanted a folder" in printed


def test_the_plan_of_an_empty_store_builds_everything(command: Command, tmp_path: Path) -> None:
    code, printed = command("run", "--dry-run", "scale=ci", f"compute.store={tmp_path}")
    assert code == 0
    states = {words[0]: words[1] for words in map(str.split, printed.splitlines()[1:]) if words}
    assert states["crawl_listing"] == states["takedowns"] == states["eval_sets"] == "build"
    assert set(states.values()) <= {"build", "undecided"}
    assert len(states) == 21


def test_the_resolved_tree_is_printed(command: Command) -> None:
    code, printed = command("run", "--cfg", "job", "scale=ci", "pretrain.seed=77")
    assert code == 0
    assert printed == compose(["scale=ci", "pretrain.seed=77"]).to_yaml()


def test_a_manifest_that_is_no_manifest_is_one_fault_among_the_counted(command: Command, tmp_path: Path) -> None:
    damaged = tmp_path / "store" / "takedowns" / "_" / ("0" * 40) / "manifest.json"
    damaged.parent.mkdir(parents=True)
    damaged.write_text("{")
    code, printed = command("verify", "scale=ci", f"compute.store={tmp_path / 'store'}")
    assert code == 1
    assert "not a manifest" in printed
    assert "1 artifacts, 1 faults" in printed
