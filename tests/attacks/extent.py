"""How far the attacks go: `make attack` runs all of them at full length, `make test` a part.

Set by RUNSHEET_ATTACK=full; what is chosen at random is so from one seed and says the same again.
"""

import os

IS_FULL = os.environ.get("RUNSHEET_ATTACK") == "full"
SEED = 20_261_124


def extent(short: int, full: int) -> int:
    return full if IS_FULL else short
