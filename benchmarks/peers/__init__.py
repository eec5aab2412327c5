"""Runsheet beside two programs that show traces: Arize Phoenix and MLflow.

`make bench-peers` gives each an environment of its own, starts all three on this machine, loads the
same runs into them, and measures them in turns. Nothing in here is a test, and nothing leaves the
machine but the installation of packages.
"""
