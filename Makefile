# Runsheet. `make run` needs nothing but make and Python 3.12 or newer, which it finds itself.

PYTHON_OF_VENV = .venv/bin/python

help:
	@echo "make run    install what is needed, start everything and print where it is"
	@echo "make test   run every test: on SQLite, then what touches the database on PostgreSQL"
	@echo "make attack attack the site at full length: half an hour"
	@echo "make chaos  faults at full length, with the record held to the truth: hours"
	@echo "make chaos-short  the rows of faults that make test leaves out: minutes"
	@echo "make bench  measure what was promised, each figure beside its floor"
	@echo "make bench-peers  measure Runsheet, Phoenix and MLflow side by side: installs 2 GB"
	@echo "make lint   check style, types, templates, settings, migrations and packages"
	@echo "make lock   write the lock files after a change of pyproject.toml (needs uv)"

run:
	@sh requirements/install.sh run
	@$(PYTHON_OF_VENV) manage.py up --with-parent

# ARGS goes to pytest: make test ARGS="-k share"
test:
	@sh requirements/install.sh test
	@$(PYTHON_OF_VENV) -m tests.browsers
	@$(PYTHON_OF_VENV) -m tests $(ARGS)

# What `make test` attacks in part, in full; figures come to .cache/attacks/
ATTACKS = tests/attacks tests/test_secrets.py tests/dashboard/test_share_attacks.py \
	tests/dashboard/test_shared_live.py tests/dashboard/test_audit.py \
	tests/dashboard/test_audit_chain.py tests/dashboard/test_routes.py

attack:
	@sh requirements/install.sh test
	@$(PYTHON_OF_VENV) -m tests.browsers
	@RUNSHEET_ATTACK=full $(PYTHON_OF_VENV) -m pytest -n 0 $(ATTACKS) $(ARGS)

# Rows of docs/faults.md: make chaos ARGS="--minutes 30 --rows kills,stops --seed 7"
chaos:
	@sh requirements/install.sh test
	@$(PYTHON_OF_VENV) -m tests.chaos $(ARGS)

chaos-short:
	@sh requirements/install.sh test
	@$(PYTHON_OF_VENV) -m tests.chaos --short $(ARGS)

# ARGS="--only sync,poll" measures some sections, ARGS=--full also what takes many minutes
bench:
	@sh requirements/install.sh test
	@$(PYTHON_OF_VENV) -m tests.browsers
	@$(PYTHON_OF_VENV) -m benchmarks $(ARGS)

# The same runs in Runsheet, Arize Phoenix and MLflow, each installed below .cache/peers/:
# ARGS=--quick whether it works, ARGS="--sizes 1000" one length, ARGS=--full also 20,000 steps
bench-peers:
	@sh requirements/install.sh test
	@$(PYTHON_OF_VENV) -m tests.browsers
	@$(PYTHON_OF_VENV) -m benchmarks.peers $(ARGS)

lint:
	@sh requirements/install.sh test
	$(PYTHON_OF_VENV) -m ruff check .
	$(PYTHON_OF_VENV) -m ruff format --check .
	RUNSHEET_DATA_DIR=.cache/lint $(PYTHON_OF_VENV) -m mypy
	$(PYTHON_OF_VENV) -m djlint --lint --quiet templates
	RUNSHEET_DATA_DIR=.cache/lint $(PYTHON_OF_VENV) manage.py check --fail-level WARNING
	RUNSHEET_DATA_DIR=.cache/lint $(PYTHON_OF_VENV) manage.py makemigrations --check --dry-run
	@sh requirements/audit.sh

# Versions stay as they are unless they must change: make lock ARGS=--upgrade
LOCK = uv pip compile --quiet --universal --python-version 3.12 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header

lock:
	@command -v uv >/dev/null || { echo "make lock needs uv: pipx install uv"; exit 1; }
	$(LOCK) $(ARGS) pyproject.toml -o requirements/run.txt
	$(LOCK) $(ARGS) pyproject.toml --group dev -c requirements/run.txt -o requirements/test.txt

# The peers' versions stand in benchmarks/peers/*.in
lock-peers:
	@command -v uv >/dev/null || { echo "make lock-peers needs uv: pipx install uv"; exit 1; }
	$(LOCK) $(ARGS) benchmarks/peers/phoenix.in -o benchmarks/peers/phoenix.txt
	$(LOCK) $(ARGS) benchmarks/peers/mlflow.in -o benchmarks/peers/mlflow.txt

.PHONY: help run test attack bench bench-peers lint lock lock-peers chaos chaos-short
