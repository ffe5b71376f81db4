"""The partition of everything that is made from one crawl."""

import dagster as dg

DUMP = "dump"
dumps = dg.DynamicPartitionsDefinition(name=DUMP)
