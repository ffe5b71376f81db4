"""The whole tree: what is asked for (identity), and where it runs (compute). conf/config.yaml lists the groups."""

from __future__ import annotations

from dataclasses import dataclass, field

from llm_dag.config.compute import Compute
from llm_dag.config.conversations import Conversations
from llm_dag.config.curation import Curation
from llm_dag.config.evaluation import Evaluation
from llm_dag.config.model import Model
from llm_dag.config.pretrain import Pretrain
from llm_dag.config.sft import Sft
from llm_dag.config.source import Source
from llm_dag.config.tasks import Tasks
from llm_dag.config.tokenizer import Tokenizer, Tokens


@dataclass
class Identity:
    """What is asked for. A recipe is made from one node of this and nothing else of the configuration."""

    source: Source = field(default_factory=Source)
    curation: Curation = field(default_factory=Curation)
    tokenizer: Tokenizer = field(default_factory=Tokenizer)
    tokens: Tokens = field(default_factory=Tokens)
    model: Model = field(default_factory=Model)
    pretrain: Pretrain = field(default_factory=Pretrain)
    tasks: Tasks = field(default_factory=Tasks)
    conversations: Conversations = field(default_factory=Conversations)
    sft: Sft = field(default_factory=Sft)
    evaluation: Evaluation = field(default_factory=Evaluation)


@dataclass
class Root(Identity):
    """The whole tree, as conf/config.yaml composes it."""

    compute: Compute = field(default_factory=Compute)
