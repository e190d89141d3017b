"""What an ini asks for is what its app sees."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.conftest import StartEmperor
from tests.e2e.harness.daemon import Emperor
from tests.e2e.harness.waiting import wait_for
from tests.requirements import needs


@pytest.fixture
def daemon(emperor: StartEmperor) -> Emperor:
    return emperor().start()


def test_wsgi_file_and_the_default_callable(daemon: Emperor) -> None:
    site = daemon.add("site")
    site.running()
    assert site.get().json["generation"] == "one"


def test_callable_names_another_one(daemon: Emperor) -> None:
    site = daemon.add("site", callable="other")
    site.running()
    assert site.get("/").text == "the other callable"


def test_module_is_found_by_pythonpath(daemon: Emperor) -> None:
    site = daemon.place("site", wsgi_file=None, chdir="/")
    more = site.folder / "more"
    more.mkdir()
    (site.folder / "app.py").rename(more / "deep.py")
    site.write(module="deep", pythonpath=more).running()
    facts = site.get().json
    assert str(more) in facts["sys_path"]
    assert facts["cwd"] == "/"


def test_module_and_callable_in_one_word(daemon: Emperor) -> None:
    site = daemon.place("site", wsgi_file=None)
    site.write(module="app:other", pythonpath=site.folder).running()
    assert site.get("/").text == "the other callable"


def test_chdir(daemon: Emperor) -> None:
    site = daemon.add("site")
    site.running()
    assert site.get().json["cwd"] == str(site.folder)


def test_env_reaches_the_app(daemon: Emperor) -> None:
    site = daemon.add("site", env=["COLOUR=red=green", "EMPTY="])
    site.running()
    environ = site.get().json["os_environ"]
    assert (environ["COLOUR"], environ["EMPTY"]) == ("red=green", "")


def test_placeholders(daemon: Emperor) -> None:
    site = daemon.add("site", base="%d%n", env=["BASE=%(base)", "NAME=%n"])
    site.running()
    environ = site.get().json["os_environ"]
    assert environ["NAME"] == "site"
    assert environ["BASE"] == f"{daemon.vassals}/site"


def test_virtualenv_is_the_interpreter_of_the_app(daemon: Emperor, app_venv: Path) -> None:
    site = daemon.add("site", virtualenv=app_venv)
    site.running()
    facts = site.get().json
    assert facts["prefix"] == str(app_venv)
    assert facts["executable"].startswith(str(app_venv))


def test_processes_are_forked_from_one_import(daemon: Emperor) -> None:
    site = daemon.add("site", processes=3)
    row = site.running()
    workers = [worker["pid"] for worker in row["workers"]]
    assert len(set(workers)) == 3
    assert site.import_pids() == [row["pid"]]
    facts = site.get().json
    assert facts["pid"] in workers
    assert facts["ppid"] == row["pid"]
    assert facts["environ"]["wsgi.multiprocess"] is True
    assert facts["environ"]["wsgi.multithread"] is False


def test_lazy_apps_are_imported_by_each_worker(daemon: Emperor) -> None:
    site = daemon.add("site", processes=2, lazy_apps="true")
    row = site.running()
    wait_for(
        lambda: sorted(site.import_pids()),
        lambda pids: pids == sorted(worker["pid"] for worker in row["workers"]),
        "an import by each worker",
    )


def test_threads_serve_at_the_same_time(daemon: Emperor) -> None:
    site = daemon.add("site", threads=2)
    row = site.running()
    folder = site.own(_made(site.folder / "held"))
    with ThreadPoolExecutor(2) as pool:
        held = [pool.submit(site.get, f"/hold?{folder}") for _ in range(2)]
        wait_for(lambda: _lines(folder / "started"), lambda lines: len(lines) == 2, "two requests at once")
        (folder / "go").touch()
        pids = {one.result().json["held"] for one in held}
    assert pids == {row["workers"][0]["pid"]}
    assert site.get().json["environ"]["wsgi.multithread"] is True


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def test_mounts_share_a_socket(daemon: Emperor) -> None:
    site = daemon.place("site", wsgi_file=None)
    app = f"{site.folder}/app.py"
    site.write(mount=[f"/one={app}", f"/one/two={app}", f"/={app}"], manage_script_name="true").running()

    def split(target: str) -> tuple[str, str]:
        environ = site.get(target).json["environ"]
        return environ["SCRIPT_NAME"], environ["PATH_INFO"]

    assert split("/one/facts") == ("/one", "/facts")
    assert split("/one") == ("/one", "")
    assert split("/one/two/x") == ("/one/two", "/x")
    assert split("/onerous") == ("", "/onerous")
    assert split("/facts") == ("", "/facts")


def test_no_mount_for_the_path_is_404(daemon: Emperor) -> None:
    site = daemon.place("site", wsgi_file=None)
    app = f"{site.folder}/app.py"
    site.write(mount=[f"/one={app}", f"/two={app}"], manage_script_name="true").running()
    assert site.get("/three").status == 404


def test_proxy_fix_believes_as_many_proxies_as_it_says_and_none_without(daemon: Emperor) -> None:
    plain, fixed = daemon.add("plain"), daemon.add("fixed", proxy_fix=2)
    forwarded = {
        "REMOTE_ADDR": "10.0.0.1",
        "HTTP_X_FORWARDED_FOR": "6.6.6.6, 8.8.8.8, 10.0.0.9",
        "HTTP_X_FORWARDED_PROTO": "https, http",
        "HTTP_X_FORWARDED_PREFIX": "/only-one",
    }
    names = ("REMOTE_ADDR", "wsgi.url_scheme", "SCRIPT_NAME")
    seen = []
    for site in (plain, fixed):
        site.running()
        environ = site.get("/facts", **forwarded).json["environ"]
        seen.append([environ[name] for name in names])
    assert seen == [["10.0.0.1", "http", ""], ["8.8.8.8", "https", ""]]


def test_several_sockets_with_a_protocol_each(daemon: Emperor) -> None:
    site = daemon.add("site", socket=daemon.run / "u.sock", fastcgi_socket=daemon.run / "f.sock")
    row = site.running()
    assert {(one["protocol"], one["address"]) for one in row["sockets"]} == {
        ("uwsgi", str(daemon.run / "u.sock")),
        ("fastcgi", str(daemon.run / "f.sock")),
    }
    assert site.get().status == 200
    site.protocol, site.options["socket"] = "fastcgi", daemon.run / "f.sock"
    assert site.get().status == 200


def test_vassals_defaults_are_inherited_and_overridden(emperor: StartEmperor, folder: Path) -> None:
    defaults = folder / "defaults.ini"
    defaults.write_text("[uwsgi]\nprocesses = 2\nenv = WHO=%n\nenv = WHAT=default\n")
    daemon = emperor().start("--vassals-defaults", str(defaults))
    first, second = daemon.add("first"), daemon.add("second", processes=1)
    assert len(first.running()["workers"]) == 2
    assert len(second.running()["workers"]) == 1
    assert first.get().json["os_environ"]["WHO"] == "first"
    assert second.get().json["os_environ"]["WHAT"] == "default"


@needs("pypy3")
def test_python_names_the_interpreter(daemon: Emperor) -> None:
    site = daemon.add("site", python="/usr/bin/pypy3", processes=2)
    site.running(deadline=40)
    assert site.get().json["implementation"] == "pypy"


def test_a_failing_request_hurts_nobody(daemon: Emperor) -> None:
    site = daemon.add("site")
    row = site.running()
    assert site.get("/fail").status == 500
    assert site.get().json["pid"] == row["workers"][0]["pid"]
    assert "asked to fail" in daemon.ctl("logs", "site").stdout


def test_names_that_are_no_vassals_are_ignored(daemon: Emperor) -> None:
    for name in (
        ".hidden.ini",
        "site.ini~",
        "site.ini.swp",
        "site.ini.bak",
        "site.ini.dpkg-new",
        "README",
        "-x.ini",
    ):
        (daemon.vassals / name).write_text("[uwsgi]\nmodule = nothing\n")
    daemon.add("site").running()
    assert daemon.names() == ["site"]
    log = daemon.log_text
    assert "-x.ini" in log
    assert ".hidden" not in log and "dpkg" not in log


def test_one_name_in_two_folders_serves_the_first(emperor: StartEmperor) -> None:
    daemon = emperor()
    second = daemon.root / "second.d"
    second.mkdir(mode=0o755)
    site = daemon.add("site")
    (second / "site.ini").write_text("[uwsgi]\nmodule = nothing\n")
    daemon.start(folders=[daemon.vassals, second])
    row = site.running()
    assert row["config"] == str(site.ini)
    wait_for(lambda: daemon.log_text, lambda text: f"{second}/site.ini" in text, "a line about the second file")


def test_a_quoted_glob_names_inis(emperor: StartEmperor) -> None:
    daemon = emperor()
    daemon.add("shop-a"), daemon.add("blog")
    daemon.start(folders=[f"{daemon.vassals}/shop-*.ini"])
    daemon.wait_for(
        lambda rows: [row["name"] for row in rows if row["state"] == "RUNNING"] == ["shop-a"], "shop-a alone"
    )


def test_check_prints_every_problem_and_starts_nothing(emperor: StartEmperor) -> None:
    daemon = emperor()
    daemon.place("a").write(processes="many", threads="-1")
    program = [str(daemon.programs / "emperor"), "--check", str(daemon.vassals)]
    bad = subprocess.run(program, capture_output=True, text=True, env={"PATH": os.environ["PATH"]})
    assert bad.returncode == 1
    output = bad.stdout + bad.stderr
    assert ": processes: " in output and ": threads: " in output
    assert f"{daemon.vassals}/a.ini:" in output
    daemon.place("b")
    (daemon.vassals / "a.ini").unlink()
    good = subprocess.run(program, capture_output=True, text=True, env={"PATH": os.environ["PATH"]})
    assert good.returncode == 0, good.stdout + good.stderr
    assert not daemon.control.exists()
