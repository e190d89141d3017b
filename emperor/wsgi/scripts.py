"""Scripts that start flup's server: as ``wsgi-file`` they name an app to serve, not a server to start.

It promises: while an app is imported, ``flup.server.fcgi`` and its sisters are stand-ins, whether flup is installed or
not. Nothing is bound and nothing waits; flup itself would remove the very socket that the vassal has just bound.
Afterwards nothing of this is left, and an import finds flup itself, or finds that it is not there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Optional

__all__ = ["flup_does_not_run", "starts_flup"]

_PACKAGES = ("flup", "flup.server")
_SERVERS = frozenset(f"flup.server.{kind}{way}" for kind in ("ajp", "fcgi", "scgi") for way in ("", "_fork", "_single"))


@contextmanager
def flup_does_not_run() -> Iterator[list[Any]]:
    """Yields the applications for which ``WSGIServer(application).run()`` was called meanwhile, in that order."""
    handed: list[Any] = []
    servers: Any = _Servers(handed)
    packages: Any = _Packages()
    loaded = {name: sys.modules.pop(name) for name in _SERVERS if name in sys.modules}
    sys.meta_path.insert(0, servers)
    # Asked last: a flup that is installed stays as it is, its servers aside.
    sys.meta_path.append(packages)
    try:
        yield handed
    finally:
        for finder in (servers, packages):
            sys.meta_path.remove(finder)
            for module in finder.made:
                _forget(module)
        sys.modules.update(loaded)


def starts_flup(script: ModuleType) -> bool:
    """Has it imported one of flup's servers, while they were stand-ins?"""
    # Not asked of whatever lies there: a proxy such as flask.request raises outside of a request.
    plain = (value for value in vars(script).values() if type(value) in (type, ModuleType))
    return any("stands_in_for_flup" in vars(value) for value in plain)


def _forget(module: ModuleType) -> None:
    name = module.__name__
    if sys.modules.get(name) is module:
        del sys.modules[name]
    package, _, attribute = name.rpartition(".")
    if getattr(sys.modules.get(package), attribute, None) is module:
        delattr(sys.modules[package], attribute)


class _StandIns:
    """Finder and loader in one. Not of importlib.abc's kind: that module is costly to import, and every start pays."""

    def __init__(self) -> None:
        self.made: list[ModuleType] = []

    def create_module(self, spec: ModuleSpec) -> None:
        """An ordinary module, please."""

    def exec_module(self, module: ModuleType) -> None:
        self.made.append(module)


class _Packages(_StandIns):
    """The packages around the servers, where flup is not installed."""

    def find_spec(self, fullname: str, *_: object) -> Optional[ModuleSpec]:
        itself: Any = self
        return ModuleSpec(fullname, itself, is_package=True) if fullname in _PACKAGES else None


class _Servers(_StandIns):
    def __init__(self, handed: list[Any]) -> None:
        super().__init__()
        self._handed = handed

    def find_spec(self, fullname: str, *_: object) -> Optional[ModuleSpec]:
        itself: Any = self
        return ModuleSpec(fullname, itself) if fullname in _SERVERS else None

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        module.WSGIServer = _server_class(self._handed)  # type: ignore[attr-defined]  # a module is given what it lacks
        module.stands_in_for_flup = True  # type: ignore[attr-defined]  # a module is given what it lacks


def _server_class(handed: list[Any]) -> type:
    class WSGIServer:
        """``bindAddress``, ``umask`` and the rest are the ini's to say: ``socket``, ``socket-umask``, ``threads``."""

        stands_in_for_flup = True

        def __init__(self, application: Any, *_: Any, **__: Any) -> None:
            self.application = application

        def run(self) -> bool:
            handed.append(self.application)
            sys.stderr.write("flup: run() starts no server here: its application is served on the ini's sockets\n")
            # As flup does when it was not ended by HUP.
            return False

    return WSGIServer
