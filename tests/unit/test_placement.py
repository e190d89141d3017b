"""Who binds, who opens: each row of the table."""

from __future__ import annotations

import pytest

from emperor.config.placement import EMPEROR, VASSAL, binder, opener
from emperor.model import ABSTRACT, ADMIN, NOBODY, OWNER, TCP, UNIX, Address, Authority

DEFAULT = "/run/emperor/blog.sock"
OTHER = "/run/emperor/shop.sock"
AUTHORITIES = {ADMIN: Authority(ADMIN), OWNER: Authority(OWNER, 1001), NOBODY: Authority(NOBODY)}


@pytest.mark.parametrize(
    ("path", "ours", "kind", "who"),
    [
        (OTHER, True, ADMIN, EMPEROR),
        (OTHER, True, OWNER, VASSAL),
        (OTHER, True, NOBODY, VASSAL),
        (OTHER, False, ADMIN, VASSAL),
        (OTHER, False, OWNER, VASSAL),
        (OTHER, False, NOBODY, VASSAL),
        (DEFAULT, True, ADMIN, EMPEROR),
        (DEFAULT, True, OWNER, EMPEROR),
        (DEFAULT, False, ADMIN, VASSAL),
        (DEFAULT, False, OWNER, VASSAL),
        (DEFAULT, True, NOBODY, VASSAL),
    ],
)
def test_who_binds_a_path(path: str, ours: bool, kind: str, who: str) -> None:
    assert binder(Address(UNIX, path=path), AUTHORITIES[kind], ours, DEFAULT) == who


@pytest.mark.parametrize("path", ["/run/emperor/../emperor/blog.sock", "/run/emperor/blog.sock2", "/run/emperor"])
def test_only_the_exact_default_path_is_a_users_own(path: str) -> None:
    assert binder(Address(UNIX, path=path), AUTHORITIES[OWNER], True, DEFAULT) == VASSAL


@pytest.mark.parametrize(("kind", "who"), [(ADMIN, EMPEROR), (OWNER, EMPEROR), (NOBODY, VASSAL)])
def test_who_binds_a_port(kind: str, who: str) -> None:
    assert binder(Address(TCP, host="127.0.0.1", port=3031), AUTHORITIES[kind], False, DEFAULT) == who


@pytest.mark.parametrize(("kind", "who"), [(ADMIN, EMPEROR), (OWNER, VASSAL), (NOBODY, VASSAL)])
def test_who_binds_an_abstract_name_is_who_its_clients_are_told_they_talk_to(kind: str, who: str) -> None:
    assert binder(Address(ABSTRACT, path="blog"), AUTHORITIES[kind], False, DEFAULT) == who


@pytest.mark.parametrize(
    ("ours", "kind", "who"),
    [
        (True, ADMIN, EMPEROR),
        (True, OWNER, VASSAL),
        (True, NOBODY, VASSAL),
        (False, ADMIN, VASSAL),
        (False, OWNER, VASSAL),
        (False, NOBODY, VASSAL),
    ],
)
def test_who_opens_a_log(ours: bool, kind: str, who: str) -> None:
    assert opener(AUTHORITIES[kind], ours) == who
