# syntax=docker/dockerfile:1
# One image for every role of production; docker-compose.yml says which part runs which command.

FROM python:3.13-slim AS packages
COPY requirements/run.txt /tmp/run.txt
RUN python -m venv /app/.venv \
    && /app/.venv/bin/pip install --no-cache-dir --no-compile --require-hashes -r /tmp/run.txt \
    && /app/.venv/bin/pip uninstall -y pip

FROM python:3.13-slim
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MALLOC_ARENA_MAX=2 \
    RUNSHEET_DATA_DIR=/app/var \
    RUNSHEET_EMBEDDED=off \
    PORT=8000
WORKDIR /app
RUN useradd --system --uid 10001 --no-create-home runsheet
COPY --from=packages /app/.venv /app/.venv
COPY manage.py LICENSE ./
COPY dashboard dashboard
COPY runs runs
COPY templates templates
COPY static static
# Bytecode and static files are made here, so that the file system can be read-only later. The key
# serves this one command and is in no layer.
RUN python -m compileall -q .venv/lib dashboard runs \
    && SECRET_KEY=only-while-static-files-are-collected \
       python manage.py collectstatic --noinput --verbosity 0
USER 10001
EXPOSE 8000
# No access log: the paths of shared pages hold the tokens that open them.
CMD ["sh", "-c", "exec uvicorn dashboard.asgi:application --host 0.0.0.0 --port \"$PORT\" --no-access-log --no-server-header --log-level warning --timeout-graceful-shutdown 10"]
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/healthz', timeout=4)"]
