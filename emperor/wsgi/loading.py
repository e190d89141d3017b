"""From a vassal's spec to one WSGI application: the app's modules are imported here, and nowhere else.

It promises: every way in which an import can fail is a ``LoadError`` whose traceback shows the app's frames
and none of ours; what is set for the import alone (FLASK_RUN_FROM_CLI) is gone afterwards. ``sys.path`` and
``sys.modules`` do change: that is the purpose.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import inspect
import os
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import BuiltinFunctionType, FunctionType, ModuleType, TracebackType
from typing import Any, NoReturn, Optional

from emperor.errors import LoadError
from emperor.model import Target, VassalSpec
from emperor.wsgi.forwarded import believing
from emperor.wsgi.gateway import WSGIApplication
from emperor.wsgi.routing import compose
from emperor.wsgi.scripts import flup_does_not_run, starts_flup

__all__ = ["DEFAULT_CALLABLES", "load"]

DEFAULT_CALLABLES = ("application", "app")
"""uWSGI looks for ``application`` alone; what Flask's readers write is ``app``."""

_OURS = os.path.dirname(os.path.dirname(os.path.realpath(__file__))) + os.sep


def load(spec: VassalSpec) -> WSGIApplication:
    """Import every target and compose them. Raises ``LoadError``.

    A target is a module (``pkg.mod``, ``pkg.mod:name``, ``pkg.mod:factory()``) or a file of any suffix.
    Without a name the callable is ``application`` or, if there is none, ``app``; a module that has neither may
    have a dict ``applications`` of mounts and apps, as uWSGI reads it. In front of ``sys.path``
    come the ``pythonpath`` entries (globs; the last one first, as in uWSGI), then the current folder, then
    the folders of the files.
    """
    _extend_path(spec)
    apps: dict[str, WSGIApplication] = {}
    with _flask_does_not_run():
        for target in spec.targets:
            for mount, app in _applications(target):
                if mount in apps:
                    raise LoadError(f"{target.where}: applications: a second app at {mount or '/'}")
                apps[mount] = believing(app, spec.proxy_fix)
    if not apps:
        raise LoadError("app: nothing to load: neither module nor wsgi-file nor mount is given")
    if spec.chdir2:
        _go_to(spec.chdir2)
    return compose(apps, spec.manage_script_name, spec.script_name)


def _extend_path(spec: VassalSpec) -> None:
    files = [os.path.dirname(_absolute(target.where)) for target in spec.targets if target.kind == "file"]
    entries = [found for entry in spec.pythonpath for found in _expanded(entry)]
    for folder in [*reversed(files), os.getcwd(), *entries]:
        # An entry that is there already moves to the front: the one written last wins.
        if folder in sys.path:
            sys.path.remove(folder)
        sys.path.insert(0, folder)
    importlib.invalidate_caches()


def _absolute(path: str) -> str:
    """What ``..`` leads out of may be a link, so it stays."""
    parts = os.path.join(os.getcwd(), path).split(os.sep)
    return os.sep + os.sep.join(part for part in parts if part not in ("", "."))


def _expanded(entry: str) -> list[str]:
    # Imported here, for few inis have such entries, and every start pays for what is imported.
    import glob

    return sorted(glob.glob(entry)) or [entry]


@contextmanager
def _flask_does_not_run() -> Iterator[None]:
    """Flask's ``app.run()`` returns at once while this is set: a module without a ``__main__`` guard can be
    imported.
    """
    name = "FLASK_RUN_FROM_CLI"
    before = os.environ.get(name)
    os.environ[name] = "true"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before


def _go_to(folder: str) -> None:
    try:
        os.chdir(folder)
    except OSError as error:
        raise LoadError(f"chdir2: cannot be entered: {error.strerror}") from error


def _applications(target: Target) -> list[tuple[str, WSGIApplication]]:
    """Mounts and apps: one, or as many as the module's dict ``applications`` names (uWSGI's pyloader.c)."""
    where, _, name = target.where.partition(":") if target.kind == "module" else (target.where, "", "")
    name = target.callable or name
    try:
        with flup_does_not_run() as handed:
            module = _imported(target.kind, where, handed if not name else ())
        if module is None or (handed and not name):
            # What a script hands to flup is what it serves: its names may be of something else.
            return [(target.mount, _checked(handed[-1], where, "WSGIServer's application"))]
        several = None if name or target.mount else _several(module)
        if several is None:
            return [(target.mount, _callable(module, where, name))]
        return [(_mount(where, key), _mounted(module, where, app)) for key, app in several.items()]
    except LoadError:
        raise
    except (Exception, SystemExit) as error:
        _fail(error)


def _imported(kind: str, where: str, handed: Sequence[Any]) -> Optional[ModuleType]:
    """None: it has left the process, but ``handed`` its app to flup before, as flup's own documentation writes it."""
    try:
        return importlib.import_module(where) if kind == "module" else _import_file(where)
    except SystemExit:
        if not handed:
            raise
        return None


def _several(module: ModuleType) -> Optional[dict[Any, Any]]:
    found = getattr(module, "applications", None)
    one = any(_attribute(module, name) is not None for name in DEFAULT_CALLABLES)
    return found if isinstance(found, dict) and found and not one else None


def _mount(where: str, key: Any) -> str:
    if not isinstance(key, str) or key[:1] not in ("", "/"):
        raise LoadError(f"{where}: applications: a key is no prefix such as /app")
    return key.rstrip("/")


def _mounted(module: ModuleType, where: str, app: Any) -> WSGIApplication:
    """uWSGI takes an app, or its name."""
    return _callable(module, where, app) if isinstance(app, str) else _checked(app, where, "applications")


def _import_file(path: str) -> ModuleType:
    """A file by its path, whatever its suffix. Its name cannot shadow a module; no byte code is kept beside
    it, because
    ``app.py`` and ``app.wsgi`` would share one cache file."""
    path = _absolute(path)
    name = "emperor_file_" + re.sub(r"\W", "_", path)
    if name in sys.modules:
        return sys.modules[name]
    loader = importlib.machinery.SourceFileLoader(name, path)
    code = loader.source_to_code(loader.get_data(path), path)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        exec(code, module.__dict__)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _callable(module: ModuleType, where: str, name: str) -> WSGIApplication:
    factory = name.endswith("()")
    plain = name[:-2] if factory else name
    found: Any = None
    for candidate in (plain,) if plain else DEFAULT_CALLABLES:
        found = _attribute(module, candidate)
        if found is not None:
            break
    if found is None:
        wanted = repr(plain) if plain else " nor ".join(map(repr, DEFAULT_CALLABLES))
        raise LoadError(f"{where}: no {wanted} in it: {_offer(module)}{_of_flup(module)}")
    return _checked(found() if factory else found, where, name or candidate)


def _checked(app: Any, where: str, called: str) -> WSGIApplication:
    if not callable(app):
        raise LoadError(f"{where}: {called}: {type(app).__name__} is no WSGI application")
    if not _takes(app, {}, None):
        raise LoadError(f"{where}: {called} does not take (environ, start_response) -- a factory? write {called}()")
    return app  # type: ignore[no-any-return]  # what could be looked at was


def _takes(value: Any, *arguments: Any) -> bool:
    """Can it be called so (PEP 3333: with two)? What has no signature that Python can tell is given the benefit."""
    try:
        inspect.signature(value).bind(*arguments)
    except TypeError:
        return False
    except ValueError:
        return True
    return True


def _attribute(module: ModuleType, dotted: str) -> Any:
    found: Any = module
    for part in dotted.split("."):
        found = getattr(found, part, None)
    return found


def _offer(module: ModuleType) -> str:
    """A framework's object first, then other objects, then what the module itself defines; factories if need be."""
    ranks = {name: _rank(module, value) for name, value in vars(module).items() if not name.startswith("_")}
    likely = [name for name, rank in ranks.items() if 0 < rank < _FACTORY]
    names = sorted(likely or (name for name in ranks if ranks[name]), key=lambda name: (ranks[name], name))
    shown = [name if ranks[name] < _FACTORY else f"{name}()" for name in names[:MOST_OFFERED]]
    return f"callable there: {', '.join(shown)}" if shown else "nothing there is a WSGI application"


MOST_OFFERED = 20
_FACTORY = 4


def _rank(module: ModuleType, value: Any) -> int:
    """0: nobody means to serve it. Flask's ``request`` and the like are stand-ins that cannot be asked now."""
    if not callable(value) or type(value).__name__ == "LocalProxy":
        return 0
    defined = isinstance(value, (type, FunctionType, BuiltinFunctionType))
    if defined and value.__module__ != module.__name__:
        return 0
    if _takes(value, {}, None):
        return 3 if defined else 1 if hasattr(type(value), "wsgi_app") else 2
    return _FACTORY if isinstance(value, FunctionType) and _takes(value) else 0


def _of_flup(module: ModuleType) -> str:
    cure = "write application = THAT_APP outside of any function"
    return f" -- what it hands to flup under __main__ is not seen here: {cure}" if starts_flup(module) else ""


def _fail(error: BaseException) -> NoReturn:
    lines = traceback.format_exception(type(error), error, _their_frames(error.__traceback__))
    last = lines[-1].strip().splitlines()[-1]
    if isinstance(error, SystemExit):
        last += " -- the module leaves the process while it is imported"
    raise LoadError(last, "".join(lines)) from error


def _their_frames(frames: Optional[TracebackType]) -> Optional[TracebackType]:
    """The traceback from the first frame on that is neither ours nor the import system's."""
    prefixes: Sequence[str] = (_OURS, "<frozen importlib", os.path.dirname(importlib.__file__) + os.sep)
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(tuple(prefixes)):
        frames = frames.tb_next
    return frames
