"""The front door's own pages, as a browser would read them."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from emperor.frontdoor import pages
from emperor.frontdoor.routing import Table, Vassal

EVIL = "<script>alert(1)</script>\"'&"


class _Reader(HTMLParser):
    """Collects what a browser would do: tags to open, addresses to follow, text to show."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_list_links_each_vassal_by_name_or_by_its_mounts() -> None:
    table = Table(
        (
            Vassal("blog", "RUNNING", "uwsgi", "@blog"),
            Vassal("shop", "BACKOFF", "fastcgi", "127.0.0.1:1", ("/buy", "/sell")),
        )
    )
    page = _Reader(pages.listing(table))
    assert page.links == ["/blog/", "/buy/", "/sell/"]
    for word in ("RUNNING", "BACKOFF", "fastcgi", "127.0.0.1:1", "@blog"):
        assert word in page.text


def test_an_empty_list_says_what_to_do() -> None:
    assert "put an ini" in _Reader(pages.listing(Table())).text


@pytest.mark.parametrize(
    "page",
    [
        pages.listing(Table((Vassal(EVIL, EVIL, EVIL, EVIL, (f"/{EVIL}",)),))),
        pages.bad_gateway(EVIL, Vassal(EVIL, EVIL, EVIL, EVIL), EVIL, EVIL),
        pages.not_found(f"/{EVIL}"),
        pages.refusal(EVIL, EVIL),
        pages.moved(f"/{EVIL}"),
    ],
)
def test_everything_is_escaped_and_nothing_is_loaded_from_elsewhere(page: bytes) -> None:
    read = _Reader(page)
    assert "script" not in read.tags
    assert "alert(1)" in read.text
    assert all(link.startswith("/") and not link.startswith("//") for link in read.links)


def test_a_failed_vassal_says_its_state_and_what_to_type() -> None:
    page = pages.bad_gateway("502 Bad Gateway", Vassal("blog", "X", "uwsgi", "@b"), "BACKOFF", "it left")
    text = _Reader(page).text
    assert "BACKOFF" in text and "it left" in text and "emperorctl status blog" in text


def test_a_path_is_shown_as_people_write_it() -> None:
    assert "/müsli" in _Reader(pages.not_found("/müsli".encode().decode("latin-1"))).text
