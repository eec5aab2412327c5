"""The record: what Case.dev said, and when we ask next. Only machines write these tables."""

from runs.models.hosts import KeyHost
from runs.models.polling import Discovery, Poll, Upstream
from runs.models.record import Agent, Payload, Revision, Run, Step, UsageEntry

__all__ = [
    "Agent",
    "Discovery",
    "KeyHost",
    "Payload",
    "Poll",
    "Revision",
    "Run",
    "Step",
    "Upstream",
    "UsageEntry",
]
