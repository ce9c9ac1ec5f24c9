"""The command line goes the same way out of this network as the window."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app import settings
from app.cli import main
from app.remote import proxies


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    proxies.choose("")


def test_that_the_proxy_of_the_settings_is_used() -> None:
    settings.save(settings.load().with_(proxy="http://proxy.example:3128"))
    assert main(["sites"]) == 0
    assert proxies.for_ssh("login.example") == proxies.Proxy("proxy.example", 3128)
    assert proxies.for_https("sso.example") == {"https": "http://proxy.example:3128"}


def test_that_a_proxy_setting_that_cannot_be_used_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    settings.save(settings.load().with_(proxy="socks5://proxy.example"))
    assert main(["sites"]) == 2
    assert "is not the address of an HTTP proxy" in capsys.readouterr().err
