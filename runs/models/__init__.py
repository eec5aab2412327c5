"""The record: what Case.dev said, and when we ask next. Only machines write these tables."""

from runs.models.callbacks import Callback
from runs.models.fingerprint import Fingerprint
from runs.models.hosts import KeyHost
from runs.models.outline import Outline
from runs.models.pace import Pace
from runs.models.polling import Discovery, Poll, Upstream
from runs.models.record import Agent, Payload, Revision, Step, UsageEntry
from runs.models.run import Run
from runs.models.spent import Spent, SpentByDay, SpentInAll
from runs.models.words import RunText

__all__ = [
    "Agent",
    "Callback",
    "Discovery",
    "Fingerprint",
    "KeyHost",
    "Outline",
    "Pace",
    "Payload",
    "Poll",
    "Revision",
    "Run",
    "RunText",
    "Spent",
    "SpentByDay",
    "SpentInAll",
    "Step",
    "Upstream",
    "UsageEntry",
]
