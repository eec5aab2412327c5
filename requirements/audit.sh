#!/bin/sh
# Fails if a package that a lock pins has a known vulnerability. Where the service that knows them
# cannot be reached this is said in one line, and nothing fails.
# VULNERABILITY_SERVICE names another service that speaks OSV's language.
set -u
cd "$(dirname "$0")/.."
service=${VULNERABILITY_SERVICE:-https://api.osv.dev/v1/query}
python=${AUDIT_PYTHON:-.venv/bin/python}

said=$("$python" -m pip_audit --vulnerability-service osv --osv-url "$service" --disable-pip \
    --require-hashes --requirement "${1:-requirements/test.txt}" --progress-spinner off \
    --timeout 10 2>&1)
code=$?
if [ "$code" -eq 0 ]; then
    printf '%s\n' "$said" | tail -n 1
elif printf '%s\n' "$said" | grep -q 'known vulnerabilit'; then
    printf '%s\n' "$said"
    exit 1
elif printf '%s\n' "$said" | grep -Eqi 'connect|timed out|timeout|proxy|resolve|ServiceError'; then
    echo "pip-audit could not reach $service: not checked"
else
    printf '%s\n' "$said"
    exit 1
fi
