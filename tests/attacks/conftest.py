"""What the attacks in a browser share: a walled browser, people who are signed in, a report."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from playwright.sync_api import Browser, BrowserContext, BrowserType

from dashboard import violations
from tests.attacks.sink import Sink, walled
from tests.attacks.watched import Watch
from tests.conftest import signed_in
from tests.product import ROOT

type Opened = Callable[[], AbstractContextManager[Watch]]


@pytest.fixture
def wall(
    browser_type: BrowserType, browser_type_launch_args: dict[str, Any], tmp_path: Path
) -> Callable[[], AbstractContextManager[tuple[Browser, Sink]]]:
    return lambda: walled(browser_type, browser_type_launch_args, tmp_path)


@pytest.fixture
def attacked(wall: Any, site: str) -> Callable[..., AbstractContextManager[Watch]]:
    """`with attacked(user, agent) as watch`: pages as `user` sees them. Nothing may have acted, and
    nobody else been asked, when the block ends."""

    @contextmanager
    def attacked(user: User | None = None, agent: str | None = None) -> Iterator[Watch]:
        with wall() as (browser, sink):
            context = browser.new_context(user_agent=agent) if agent else browser.new_context()
            if user:
                sign_in(context, user)
            watch = Watch(context, site)
            yield watch
            assert watch.wrongs == []
        assert sink.named() == set()
        assert sink.contacts == []
        assert violations.told().lately == []  # as the browser reported it to the site

    return attacked


def sign_in(context: BrowserContext, user: User) -> None:
    cookie = signed_in(user).cookies[settings.SESSION_COOKIE_NAME]
    context.add_cookies(
        [{"name": cookie.key, "value": cookie.value, "domain": "127.0.0.1", "path": "/"}]
    )


@pytest.fixture
def report(request: pytest.FixtureRequest, record_property: Any) -> Callable[..., None]:
    """Keeps figures of an attack in `.cache/attacks/`, where `make attack` reads them."""

    def keep(**figures: Any) -> None:
        record_property("attack", figures)
        folder = ROOT / ".cache" / "attacks"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{request.node.originalname}.json"
        path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")

    return keep
