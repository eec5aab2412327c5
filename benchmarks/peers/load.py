"""Sends runs to a peer, in the peer's own environment, which has what speaks its language.

`python -m benchmarks.peers.load URL HEADERS FILE...` reads answers of Case.dev from the files and
posts them as OTLP over HTTP, in requests of as many spans as an exporter's batches have. After
each file it prints a line of JSON: `began` and `answered`, on the clock that all processes share
(`time.monotonic`), and the number of `spans`.
"""

import http.client
import json
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import batched
from pathlib import Path
from urllib.parse import urlsplit

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Status
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SentSpan

from benchmarks.peers.spans import Span, spans

BATCH = 512  # spans a request: what OpenTelemetry's exporters send at most by themselves
SECONDS = 120.0  # for one answer
BUSY = (429, 503)  # the server asks to be left alone for a moment
PAUSE, PAUSES = 0.2, 300


def main() -> None:
    url, headers, *files = sys.argv[1:]
    address = urlsplit(url)
    assert address.hostname == "127.0.0.1", "runs are sent to this machine alone"
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=SECONDS)
    for file in files:
        found = list(spans(json.loads(Path(file).read_bytes())))
        bodies = list(requests(found))
        began = time.monotonic()
        for body in bodies:
            _post(connection, body, json.loads(headers))
        line = {"began": began, "answered": time.monotonic(), "spans": len(found)}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
    connection.close()


def requests(found: Iterable[Span]) -> Iterator[bytes]:
    resource = Resource(attributes=[_attribute("service.name", "runs")])
    for some in batched(found, BATCH):
        scope = ScopeSpans(spans=[_sent(span) for span in some])
        resource_spans = ResourceSpans(resource=resource, scope_spans=[scope])
        yield ExportTraceServiceRequest(resource_spans=[resource_spans]).SerializeToString()


def _sent(span: Span) -> SentSpan:
    return SentSpan(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_id,
        name=span.name,
        kind=SentSpan.SPAN_KIND_INTERNAL,
        start_time_unix_nano=span.began,
        end_time_unix_nano=span.ended,
        attributes=[_attribute(*pair) for pair in span.attributes.items()],
        status=Status(code=Status.STATUS_CODE_OK),
    )


def _attribute(key: str, value: str | int) -> KeyValue:
    is_number = isinstance(value, int)
    any_value = AnyValue(int_value=value) if is_number else AnyValue(string_value=value)
    return KeyValue(key=key, value=any_value)


def _post(connection: http.client.HTTPConnection, body: bytes, headers: dict[str, str]) -> None:
    for _ in range(PAUSES):
        connection.request(
            "POST", "/v1/traces", body, {"content-type": "application/x-protobuf", **headers}
        )
        answer = connection.getresponse()
        said = answer.read()
        if answer.status < 300:
            return
        if answer.status not in BUSY:
            raise RuntimeError(f"the server answered {answer.status}: {said[:300]!r}")
        time.sleep(PAUSE)
    raise TimeoutError("the server was too busy for too long")


if __name__ == "__main__":
    main()
