"""Notices by a webhook that takes what Slack's take: a POST of `{"text": ...}`.

Whoever has an account chooses the address, so it is held to what holds for the address of Case.dev:
https, a public host, looked at again at each connection; no redirect, a deadline, and little of
the answer is read.
"""

import datetime as dt
import json
import time
from urllib.parse import urlsplit

import httpx
from django.conf import settings
from django.http.request import validate_host

from dashboard.notices.undelivered import Undelivered
from dashboard.notices.words import WHY, Words, address
from runs.casedev import network, places
from runs.casedev.headers import retry_after
from runs.secret import Secret

DEADLINE = 10.0  # seconds
READ = 1_024  # bytes of an answer
FINAL = {400, 401, 403, 404, 405, 410, 413, 415}  # the address or what we send will never do


def refusal(url: str) -> str:
    """Why nothing is sent there, as a sentence; "" if it may be."""
    if any(not "!" <= character <= "~" for character in url):
        return "The address holds a blank or a letter that no address has."
    why = places.refusal(url.replace("?", "/", 1), may_be_this_machine=settings.EMBEDDED)
    if why:
        return f"The address {why}"
    hosts = settings.WEBHOOK_HOSTS
    if hosts and not validate_host((urlsplit(url).hostname or "").lower(), hosts):
        return f"The address must be at {' or '.join(hosts)}: others are not allowed here."
    return ""


def send(url: Secret, told: Words) -> None:
    """Raises Undelivered."""
    text = "\n".join([_escaped(line) for line in told.lines] + [f"_{WHY}_ {_change()}"])
    if why := refusal(url.reveal()):
        raise Undelivered(why, is_final=True)
    try:
        status, headers = _post(url, json.dumps({"text": text}).encode())
    except httpx.TimeoutException:
        problem = Undelivered("The webhook did not answer in time.")
    except httpx.HTTPError as error:
        problem = Undelivered(f"The webhook cannot be reached ({type(error).__name__}).")
    else:
        if 200 <= status < 300:
            return
        problem = _problem(status, headers)
    # Outside the handlers: httpx's exceptions lead to the request, and so to the address.
    raise problem


def _post(url: Secret, body: bytes) -> tuple[int, httpx.Headers]:
    at = url.reveal()
    transport = network.Transport(as_this_machine=places.is_this_machine(at), keepalive=1.0)
    headers = {"Content-Type": "application/json", "User-Agent": "runsheet"}
    ends_at = time.monotonic() + DEADLINE
    with (
        network.deadline(lambda: ends_at),
        httpx.Client(
            transport=transport, timeout=DEADLINE, trust_env=False, follow_redirects=False
        ) as http,
        http.stream("POST", at, content=body, headers=headers) as answer,
    ):
        next(answer.iter_raw(READ), b"")
        return answer.status_code, answer.headers


def _problem(status: int, headers: httpx.Headers) -> Undelivered:
    if 300 <= status < 400:
        return Undelivered("The webhook leads elsewhere, which is not followed.", is_final=True)
    if status == 429:
        wait = retry_after(headers, dt.datetime.now(dt.UTC))
        return Undelivered("The webhook asks us to slow down (429).", retry_after=wait)
    return Undelivered(f"The webhook answered {status}.", is_final=status in FINAL)


def _change() -> str:
    return address("notice-settings")


def _escaped(text: str) -> str:
    """As Slack asks for it; nobody is called, and no link shown under another name."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
