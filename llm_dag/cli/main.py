"""The `llm-dag` command."""

import typer

from llm_dag.cli.chat import chat
from llm_dag.cli.inspect import accept, adopt, show, status, verify
from llm_dag.cli.run import run

app = typer.Typer(
    help="From web pages to an assistant, and an answer for every page, token and checkpoint.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
for command in (run, status, chat, show, verify, accept, adopt):
    app.command()(command)
