"""What the store refuses, each with a message that says what to do."""


class StoreError(RuntimeError):
    """The store cannot do what was asked; the message is for a person and needs no traceback."""


class Unhashable(StoreError):
    """A configuration value has no canonical form, so no recipe can name it."""


class MissingInput(StoreError):
    """An input's artifact has not been made with this configuration."""


class BlockedInput(StoreError):
    """A blocking check of an input has not passed, and nobody has accepted that."""


class CodeChanged(StoreError):
    """The code of a step was edited while the step ran."""


class LaunchError(StoreError):
    """A launcher started other processes than the configuration asks for."""


class LeaseLost(StoreError):
    """Another process has taken over this recipe."""


class WorkerDied(StoreError):
    """The worker process that made a shard died, and so did the one that tried it again."""


class Corrupt(StoreError):
    """A file is not what its manifest says."""
