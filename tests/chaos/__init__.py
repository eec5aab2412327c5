"""Faults, drift and stale data: the rows of docs/faults.md, each with what must hold under it."""
