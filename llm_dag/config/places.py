"""Where conf/ and assets_data/ lie: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
SHIPPED = "assets_data/"


def shipped(folder: str) -> Path:
    """The folder `conf` or `assets_data` as it is installed."""
    inside = PACKAGE / folder
    return inside if inside.is_dir() else PACKAGE.parent / folder


def project() -> Path:
    """The checkout that the package is installed from, or the working folder where it is installed from a wheel."""
    checkout = PACKAGE.parent
    return checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()


def state() -> Path:
    """The folder of everything that runs leave behind: the store and Dagster's home."""
    return project() / ".llm_dag"


def store_url(value: str) -> str:
    """`compute.store` as a URL, or as a folder; a relative folder is relative to the project."""
    return value if "://" in value else str(project() / Path(value).expanduser())


def is_url(value: str) -> bool:
    """Whether a path of the configuration lies elsewhere (`https://…`, `s3://…`); `file://…` is a local path."""
    return "://" in value and not value.startswith("file://")


def resolve(value: str) -> Path:
    """A path of the configuration: `assets_data/…` is the shipped folder, others are relative to the working folder."""
    if value.startswith(SHIPPED):
        return shipped("assets_data") / value.removeprefix(SHIPPED)
    return Path(value.removeprefix("file://")).expanduser().absolute()
