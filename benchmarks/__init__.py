"""What Runsheet costs, each figure beside a floor that was measured in the same run.

`make bench` runs every section of `sections.py`, each in a process of its own, on a database of
its own, and prints a table; `make bench ARGS="--only sync,poll"` some of them. Nothing in here is
a test with a stop-watch: on a busy machine figures change, and only their ratios to the floors
hold.
"""
