"""Static files, as a browser gets them from the running site."""

import gzip

import httpx
import pytest
from django.contrib.staticfiles.storage import staticfiles_storage

NAME = "css/runsheet.css"


@pytest.fixture
def hashed(site: str) -> str:
    return site + staticfiles_storage.url(NAME)


def test_a_name_with_a_hash_is_kept_for_ever(hashed: str) -> None:
    answer = httpx.get(hashed, trust_env=False)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "max-age=315360000, public, immutable"
    assert answer.headers["content-type"].startswith("text/css")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in answer.headers


def test_a_plain_name_is_asked_for_again(site: str) -> None:
    answer = httpx.get(f"{site}/static/{NAME}", trust_env=False)
    assert answer.status_code == 200
    assert "immutable" not in answer.headers["cache-control"]


def test_it_comes_compressed_to_who_can_read_that(hashed: str) -> None:
    plain = httpx.get(hashed, headers={"Accept-Encoding": "identity"}, trust_env=False)
    with httpx.stream(
        "GET", hashed, headers={"Accept-Encoding": "gzip"}, trust_env=False
    ) as answer:
        packed = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["vary"] == "Accept-Encoding"
    assert gzip.decompress(packed) == plain.content
    assert len(packed) < len(plain.content)


def test_what_a_browser_has_is_not_sent_again(hashed: str) -> None:
    first = httpx.get(hashed, trust_env=False)
    again = httpx.get(hashed, headers={"If-None-Match": first.headers["etag"]}, trust_env=False)
    assert (again.status_code, again.content) == (304, b"")


def test_head_and_other_methods(hashed: str) -> None:
    assert httpx.head(hashed, trust_env=False).content == b""
    assert httpx.post(hashed, trust_env=False).status_code == 405


def test_what_is_not_there_is_the_sites_own_404_or_login(site: str) -> None:
    for path in ("/static/none.css", "/static/../manage.py", "/static/%2e%2e/manage.py"):
        answer = httpx.get(site + path, trust_env=False)
        assert answer.status_code in (302, 404)
        assert b"execute_from_command_line" not in answer.content


def test_static_files_carry_the_security_headers(hashed: str) -> None:
    answer = httpx.get(hashed, trust_env=False)
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
