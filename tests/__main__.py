"""`python -m tests`: the whole suite on SQLite, then what touches the database on PostgreSQL.

Words after it go to pytest in both passes.
"""

import os
import subprocess
import sys

PASSES = {
    "sqlite": [],
    # Pages in a browser, whole starts and who may see what are the same on either; rows are not.
    "postgresql": ["-m", "django_db and not browser and not product and not same_on_either"],
}


def main() -> int:
    """0 if every pass went well; a pass that ran no test did not."""
    codes = []
    for database, selection in PASSES.items():
        print(f"\nTests on {database}", flush=True)
        # Three, since many wait for a process to start or to end; and each is given one test at a
        # time, in their order, so that no long one is left to the last.
        command = [sys.executable, "-m", "pytest", "-n", "3", "--maxschedchunk", "1"]
        command += [*selection, *sys.argv[1:]]
        environment = os.environ | {"RUNSHEET_TEST_DATABASE": database}
        codes.append(subprocess.run(command, check=False, env=environment).returncode)
    return next((code for code in codes if code), 0)


if __name__ == "__main__":
    sys.exit(main())
