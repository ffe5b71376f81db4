"""What the launchpad asks of a run: a scale, and Hydra overrides on top."""

from __future__ import annotations

import enum
from pathlib import Path

import dagster as dg

from llm_dag.assets import pools
from llm_dag.assets.reporting import say
from llm_dag.config.compose import Config, ConfigError, compose, scales

Scale = enum.Enum("Scale", {name: name for name in scales()})  # type: ignore[misc]


class Conf(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The configuration of a run: `scale` is a preset of conf/scale, `overrides` are Hydra's (`pretrain.seed=2`)."""

    scale: Scale = Scale["laptop"]
    overrides: list[str] = []
    config_dir: str = ""  # a folder of further groups and experiments, as Hydra's --config-dir

    def config(self) -> Config:
        """The composed tree. Raises dg.Failure with a message for a person."""
        try:
            folder = Path(self.config_dir) if self.config_dir else None
            return compose([f"scale={self.scale.value}", *self.overrides], folder)
        except ConfigError as error:
            raise dg.Failure(str(error), allow_retries=False) from error

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        self.config()  # an override that makes no sense stops the run before its first step
        if context.instance is not None and context.run is not None:
            own = context.run.run_id
            for run_id in pools.free(context.instance, own):
                say(f"run {run_id} was killed; its place on the accelerator is free again")
            for run_id in pools.holders(context.instance, own):
                say(f"run {run_id} is on the accelerator; a step of this run that wants it waits for that run")
