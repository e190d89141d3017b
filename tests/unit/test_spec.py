"""From rows to a spec: values, paths, apps, and every problem at once."""

from __future__ import annotations

import pytest

from emperor.config.language.inifile import Row
from emperor.config.spec import build
from emperor.model import Target
from tests.unit.config_world import ALICE, APP, CONTEXT, WEB, check, faults, spec, warnings


def test_a_small_ini_is_a_whole_spec() -> None:
    found = spec(APP)
    assert (found.name, found.config, found.folder) == ("blog", CONTEXT.config, CONTEXT.folder)
    assert (found.identity, found.web_gid) == (WEB, 33)
    assert found.targets == (Target("", "module", "blog"),)
    assert (found.python, found.virtualenv, found.chdir, found.logto) == ("", "", "", "")


def test_plain_values_reach_their_fields() -> None:
    found = spec(
        APP,
        "processes = 3",
        "threads = 2",
        "lazy-apps = true",
        "manage-script-name = yes",
        "script-name = /shop",
        "umask = 027",
        "buffer-size = 32768",
        "limit-post = 1000000",
        "start-timeout = 5",
        "worker-reload-mercy = 8",
        "max-restarts = 4",
        "listen = 64",
    )
    assert (found.processes, found.threads, found.lazy_apps, found.manage_script_name) == (3, 2, True, True)
    assert (found.script_name, found.umask, found.buffer_size) == ("/shop", 0o027, 32768)
    assert (found.limit_post, found.start_timeout, found.reload_mercy) == (1000000, 5.0, 8.0)
    assert (found.max_restarts, found.sockets[0].backlog) == (4, 64)


@pytest.mark.parametrize(
    ("lines", "field", "value"),
    [
        (("harakiri = 30",), "harakiri", 30.0),
        (("harakiri = off",), "harakiri", 0.0),
        (("max-requests = 5000",), "max_requests", 5000),
        (("max-requests = 5000", "max-requests-delta = 0"), "max_requests_delta", 0),
        (("max-worker-lifetime = 3600",), "max_worker_lifetime", 3600.0),
        (("max-worker-lifetime = 3600", "max-worker-lifetime-delta = 60"), "max_worker_lifetime_delta", 60.0),
        (("min-worker-lifetime = 0",), "min_worker_lifetime", 0.0),
        (("reload-on-rss = 200",), "reload_on_rss", 200 * 1024 * 1024),
        (("evil-reload-on-as = 1024",), "reload_on_as", 1024 * 1024 * 1024),
        (("limit-as = 512",), "limit_as", 512 * 1024 * 1024),
        (("max-fd = 4096",), "limit_nofile", 4096),
        (("limit-nproc = 100",), "limit_nproc", 100),
        (("nice = 10",), "nice", 10),
        (("prio = 5",), "nice", 5),
        (("cheap = true",), "on_demand", True),
        (("idle = 600",), "idle", 600.0),
        (("processes = 4", "cheaper = 1"), "cheaper", 1),
        (("processes = 4", "cheaper = 1", "cheaper-initial = 4"), "cheaper_initial", 4),
        (("processes = 4", "cheaper = 1", "cheaper-step = 3"), "cheaper_step", 3),
        (("processes = 4", "cheaper = 1", "cheaper-overload = 0.5"), "cheaper_overload", 0.5),
        (("py-autoreload = 1",), "py_autoreload", 1.0),
        (("processes = 2", "reload-mode = rolling"), "reload_mode", "rolling"),
    ],
)
def test_what_lives_long_reaches_its_field(lines: tuple[str, ...], field: str, value: object) -> None:
    assert getattr(spec(APP, *lines), field) == value
    assert warnings(APP, *lines) == []


def test_what_is_touched_collects_and_begins_in_chdir() -> None:
    found = spec(APP, "chdir = /srv/shop", "touch-reload = current", "touch-reload = /run/shop.reload")
    assert found.touch_reload == ("/srv/shop/current", "/run/shop.reload")


def test_the_last_line_of_an_option_wins_under_any_of_its_names() -> None:
    assert spec(APP, "processes = 2", "workers = 5").processes == 5
    assert spec(APP, "home = /a", "virtualenv = /b").virtualenv == "/b"


def test_list_options_collect_and_a_variable_named_twice_has_its_last_value() -> None:
    found = spec(APP, "pythonpath = /a", "pp = /b", "env = A=1", "env = B=2", "env = A=3")
    assert found.pythonpath == ("/a", "/b")
    assert found.env == (("A", "3"), ("B", "2"))


def test_relative_paths_begin_in_the_inis_folder() -> None:
    found = spec("wsgi-file = app.py", "virtualenv = ./venv", "pythonpath = lib", "logto = logs//a.log")
    folder = "/etc/emperor/vassals.d"
    assert found.targets[0].where == f"{folder}/app.py"
    assert (found.virtualenv, found.python) == (f"{folder}/venv", f"{folder}/venv/bin/python")
    assert (found.pythonpath, found.logto) == ((f"{folder}/lib",), f"{folder}/logs/a.log")


def test_relative_paths_begin_in_chdir_and_those_of_the_log_do_not() -> None:
    """uWSGI opens the log before it changes folder, and looks for the app after (core/uwsgi.c:2302-2860)."""
    found = spec("mount = /a=run.py", "chdir = ../site", "virtualenv = venv", "logto = a.log", "socket = a.sock")
    site = "/etc/emperor/vassals.d/../site"
    assert found.chdir == site
    assert found.targets[0].where == f"{site}/run.py"
    assert (found.virtualenv, found.sockets[0].address.path) == (f"{site}/venv", f"{site}/a.sock")
    assert found.logto == "/etc/emperor/vassals.d/a.log"


def test_an_interpreter_that_is_named_wins_over_the_virtualenvs() -> None:
    found = spec(APP, "python = /usr/bin/pypy3", "virtualenv = /srv/venv")
    assert (found.python, found.virtualenv) == ("/usr/bin/pypy3", "/srv/venv")


@pytest.mark.parametrize(
    ("lines", "targets"),
    [
        (("module = blog:site",), [Target("", "module", "blog", "site")]),
        (("module = blog", "callable = app"), [Target("", "module", "blog", "app")]),
        (("module = blog:site", "callable = app"), [Target("", "module", "blog", "site")]),
        (("wsgi-file = /a.py", "callable = app"), [Target("", "file", "/a.py", "app")]),
        (
            ("mount = /a=/a.py", "callable = app", "mount = /=b:site"),
            [Target("/a", "file", "/a.py", "app"), Target("", "module", "b", "site")],
        ),
        (("mount = /a=a", "module = b"), [Target("/a", "module", "a"), Target("", "module", "b")]),
    ],
)
def test_apps_come_in_the_inis_order_with_their_callables(lines: tuple[str, ...], targets: list[Target]) -> None:
    assert list(spec(*lines).targets) == targets


def test_an_ini_without_an_app_is_told_which_options_name_one() -> None:
    ((line, option, message),) = faults("callable = app")
    assert (line, option) == (0, "")
    assert all(name in message for name in ("module =", "wsgi-file =", "mount ="))


def test_an_app_that_cannot_be_read_is_one_problem_and_not_two() -> None:
    assert [(line, option) for line, option, _ in faults("module = a b")] == [(2, "module")]


def test_two_apps_at_the_root_name_both_lines() -> None:
    ((line, option, message),) = faults("wsgi-file = a.py", "processes = 2", "wsgi = blog")
    assert (line, option) == (4, "wsgi")
    assert "wsgi-file (line 2)" in message


@pytest.mark.parametrize("second", ["mount = /a=b", "mount = /a/=b.py"])
def test_two_apps_at_one_prefix_name_both_lines(second: str) -> None:
    ((line, _, message),) = faults("mount = /a=a", second)
    assert line == 3 and "mount (line 2)" in message


def test_every_problem_is_found_at_once_in_the_order_of_the_lines() -> None:
    found = faults("threads = x", "uid = nobody-here", "socket = /", "chmod-socket = 9", "wsgi-file = ~/a.py")
    assert [(line, option) for line, option, _ in found] == [
        (2, "threads"),
        (3, "uid"),
        (4, "socket"),
        (5, "chmod-socket"),
        (6, "wsgi-file"),
    ]


def test_a_problem_reads_path_line_option_message() -> None:
    (problem,) = check(APP, "processes = many").problems
    assert str(problem) == ("/etc/emperor/vassals.d/blog.ini:3: processes: must be a whole number from 1 to 1024")


def test_an_option_without_its_value_is_an_error_unless_it_may_stand_alone() -> None:
    assert faults(APP, "uid") == [(3, "uid", "needs a value")]
    assert spec(APP, "chmod-socket", "lazy-apps").lazy_apps


@pytest.mark.parametrize("line", ["secret_k3y = hunter2", "uid = hunter2", "module = hunter2:::", "env = hunter2"])
def test_no_message_repeats_a_value(line: str) -> None:
    problems = check(line).problems
    assert problems and not any("hunter2" in str(one) for one in problems)


def test_an_unknown_option_is_a_warning_with_what_was_meant() -> None:
    assert warnings(APP, "proceses = 4") == [
        (3, "proceses", "unknown option -- it has no effect; did you mean processes?")
    ]


def test_a_key_that_is_referred_to_is_a_placeholder_and_no_typo() -> None:
    found = warnings("base = /srv", "app = hello", "module = %(app)", "chdir = %(base)", "strict = true")
    assert found == []


def test_strict_makes_an_unknown_option_an_error() -> None:
    assert [(line, option) for line, option, _ in faults("strict = true", APP, "base = /srv")] == [(4, "base")]


def test_strict_lets_a_placeholder_that_is_set_stand() -> None:
    assert warnings("strict = true", APP, "set-placeholder = base=/srv") == []


def test_a_placeholder_that_is_an_option_is_refused() -> None:
    assert [(line, option) for line, option, _ in faults(APP, "set-ph = uid=root")] == [(3, "set-ph")]


@pytest.mark.parametrize(
    "line",
    [
        "master = true",
        "enable-threads",
        "plugin = http,python3",
        "plugins = python311",
        "vacuum = true",
        "die-on-term = 1",
        "harakiri = 0",
        "py-autoreload = false",
        "post-buffering = 4096",
    ],
)
def test_what_is_always_so_or_turned_off_needs_no_word(line: str) -> None:
    assert warnings(APP, line) == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("cheaper-algo = busyness", "has no effect here: "),
        ("die-on-idle = no", "cannot be turned off"),
        ("pidfile = /run/app.pid", "has no effect here: "),
        ("static-map = /static=static", "emperorctl nginx"),
        ("memory-report", "has no effect here: "),
        ("master = false", "cannot be turned off"),
        ("need-app = off", "cannot be turned off"),
        ("plugin = php", "only Python apps"),
    ],
)
def test_what_has_no_effect_or_another_one_is_a_warning(line: str, words: str) -> None:
    ((at, _, message),) = warnings(APP, line)
    assert at == 3 and words in message


@pytest.mark.parametrize(
    "line", ["https-socket = :8443", "scgi-socket = /a.sock", "chroot = /jail", "xml = a.xml", "immediate-uid = root"]
)
def test_what_would_change_what_runs_is_refused(line: str) -> None:
    assert [at for at, _, _ in faults(APP, line)] == [3]


def test_debians_layout_with_a_mount_is_served_as_written() -> None:
    found = spec(
        "plugin = http,python3",
        "callable = app",
        "virtualenv = /var/www/myapp/venv",
        "mount = /app=/var/www/myapp/run.py",
        "manage-script-name = true",
        "pythonpath = /var/www/myapp",
        "chmod-socket = 664",
        "uid = www-data",
        "gid = www-data",
    )
    assert found.targets == (Target("/app", "file", "/var/www/myapp/run.py", "app"),)
    assert found.manage_script_name and found.sockets[0].mode == 0o664 and found.identity == WEB


def test_an_ini_for_many_workers_that_come_and_go_is_served_although_it_is_strict() -> None:
    """As it is copied from the article that made these options known, with uWSGI's own way of counting."""
    lines = (
        *("strict = true", "master = true", "enable-threads = true", "vacuum = true", "single-interpreter = true"),
        *("die-on-term = true", "need-app = true", "disable-logging = true", "auto-procname = true"),
        *("harakiri = 60", "max-requests = 1000", "max-worker-lifetime = 3600", "reload-on-rss = 2048"),
        *("worker-reload-mercy = 60", "processes = 500", "cheaper = 8", "cheaper-initial = 16"),
        *("cheaper-overload = 1", "cheaper-step = 16", "py-call-osafterfork = true"),
    )
    busyness = (
        *("cheaper-algo = busyness", "cheaper-busyness-multiplier = 30", "cheaper-busyness-min = 20"),
        *("cheaper-busyness-max = 70", "cheaper-busyness-backlog-alert = 16", "cheaper-busyness-backlog-step = 2"),
    )
    found = spec(APP, *lines)
    assert (found.cheaper, found.cheaper_initial, found.processes, found.cheaper_step) == (8, 16, 500, 16)
    assert warnings(APP, *lines) == []
    assert [option for _, option, _ in warnings(APP, *lines, *busyness)] == [one.split(" ")[0] for one in busyness]


def test_an_emperors_ini_with_placeholders_is_served_as_written() -> None:
    checked = check(
        "base = /var/www/demoapp",
        "app = hello",
        "module = %(app)",
        "home = %(base)/venv",
        "pythonpath = %(base)",
        "socket = /var/www/demoapp/%n.sock",
        "chmod-socket = 666",
        "callable = app",
        "logto = /var/log/uwsgi/%n.log",
    )
    assert checked.problems == () and checked.spec is not None
    assert checked.spec.targets == (Target("", "module", "hello", "app"),)
    assert checked.spec.python == "/var/www/demoapp/venv/bin/python"
    assert checked.spec.sockets[0].address.path == "/var/www/demoapp/blog.sock"
    assert checked.spec.logto == "/var/log/uwsgi/blog.log"


def test_rows_of_two_files_are_judged_together_and_blamed_apart() -> None:
    rows = [Row("processes", "x", "defaults.ini", 7), Row("threads", "x", "blog.ini", 2), Row("module", "a", "", 3)]
    assert [str(one).split(": ")[0] for one in build(rows, CONTEXT).problems] == ["blog.ini:2", "defaults.ini:7"]


def test_files_for_the_web_server_are_kept_with_their_prefixes() -> None:
    found = spec(APP, "chdir = /srv/blog", "static-map = /static/=static/", "static-map = /favicon.ico=/srv/f.ico")
    assert found.static_map == (("/static", "/srv/blog/static"), ("/favicon.ico", "/srv/f.ico"))


def test_the_folder_after_the_import_begins_where_the_app_does() -> None:
    assert spec(APP, "chdir = /srv", "chdir2 = data").chdir2 == "/srv/data"
    assert spec(APP).chdir2 == ""


def test_uwsgis_http_opens_a_socket_that_speaks_http() -> None:
    (socket,) = spec(APP, "http = :9090").sockets
    assert (socket.protocol, socket.address.port) == ("http", 9090)


def test_who_the_app_runs_as_may_be_said_at_once() -> None:
    assert spec(APP, "immediate-uid = alice", "immediate-gid = www-data").identity.user == "alice"


@pytest.mark.parametrize("mode", ["666", "0666", "1", ""])
def test_uwsgis_ways_to_let_everybody_connect_are_read(mode: str) -> None:
    assert spec(APP, f"chmod-socket = {mode}").sockets[0].mode == 0o666


@pytest.mark.parametrize(
    ("owner", "ids"),
    [("alice", (1001, None)), ("alice:www-data", (1001, 33)), (":www-data", (None, 33)), ("33:33", (33, 33))],
)
def test_uwsgis_ways_to_name_a_sockets_owner_are_read(owner: str, ids: tuple[int | None, int | None]) -> None:
    (socket,) = spec(APP, f"chown-socket = {owner}").sockets
    assert (socket.uid, socket.gid) == ids


def test_as_many_workers_as_there_are_processors_may_be_asked_for() -> None:
    assert spec(APP, "processes = %k").processes >= 1


def test_a_spec_survives_its_way_to_the_vassal() -> None:
    found = spec("uid = alice", "mount = /a=b:c", "socket = :3031", "env = A=1", "static-map = /s=/x", "umask = 022")
    assert type(found).from_json(found.to_json()) == found
    assert found.identity == ALICE
