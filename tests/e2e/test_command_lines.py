"""uWSGI's published command lines, unchanged but for the word ``uwsgi``: by ``emperor run``, and by ``emperor``."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from functools import partial
from pathlib import Path
from typing import Any, Callable

import pytest

from benchmarks.front import free_port
from tests.e2e.conftest import StartNginx
from tests.e2e.harness import people
from tests.e2e.harness.daemon import ini
from tests.e2e.harness.launching import Launch
from tests.e2e.harness.people import Person, Users
from tests.e2e.harness.waiting import DEADLINE, wait_for
from tests.e2e.harness.web import UWSGI, get
from tests.e2e.harness.wire import request
from tests.requirements import needs


def facts(process: subprocess.Popen[bytes], ask: Callable[[], Any]) -> dict[str, Any]:
    """What the app says of itself, once it answers."""

    def look() -> dict[str, Any]:
        assert process.poll() is None, "it is gone"
        try:
            answer = ask()
        except OSError:
            return {}
        found: dict[str, Any] = answer.json if answer.status == 200 else {}
        return found

    return wait_for(look, what="an answer")


def test_the_quickstart(launch: Launch, home: Path) -> None:
    shutil.copy(home / "wsgi.py", home / "foobar.py")
    port = free_port()
    numbers = free_port()
    line = (
        f"run --http 127.0.0.1:{port} --wsgi-file foobar.py --master --processes 4 --threads 2 "
        f"--stats 127.0.0.1:{numbers}"
    )
    seen = facts(launch(*line.split()), lambda: get(f"http://127.0.0.1:{port}/facts"))
    assert seen["environ"]["wsgi.multiprocess"] is seen["environ"]["wsgi.multithread"] is True
    # The first worker may answer a moment before its vassal opens what `stats` names.
    log = wait_for(lambda: text if " -> RUNNING" in (text := (home / "log").read_text()) else "", what="it serves")
    with socket.create_connection(("127.0.0.1", numbers), timeout=10) as stats:
        told = json.loads(b"".join(iter(lambda: stats.recv(65536), b"")))
    assert len(told["workers"]) == 4 and {len(one["cores"]) for one in told["workers"]} == {2}
    assert f"app: serving {home}/foobar.py on 127.0.0.1:{port} (http) as " in log.replace("foobar: ", "app: ")


def test_chdir_and_a_relative_wsgi_file(launch: Launch, home: Path, someone: Person) -> None:
    (home / "myproject" / "myproject").mkdir(parents=True)
    shutil.copy(home / "wsgi.py", home / "myproject" / "myproject")
    shutil.chown(home / "myproject", someone.uid, someone.gid)
    line = f"run --socket a.sock --chdir {home}/myproject/ --wsgi-file myproject/wsgi.py -d app.log --cache2 name=x"
    seen = facts(launch(*line.split()), lambda: request(f"{home}/myproject/a.sock"))
    assert seen["cwd"] == f"{home}/myproject"
    log = (home / "log").read_text()
    assert "--cache2: uWSGI option, not supported: " in log and "daemonize: is --logto: it stays in the fore" in log


@needs("nginx")
def test_a_mount_under_a_prefix_in_a_virtualenv_behind_nginx(
    launch: Launch, home: Path, app_venv: Path, nginx: StartNginx
) -> None:
    (home / "myapp.py").write_text("from wsgi import application as app\n")
    address = home / "x.sock"
    line = (
        f"run -s {address} -C666 --manage-script-name --mount /yourapplication=myapp:app --virtualenv {app_venv} --pp ."
    )
    process = launch(*line.split())
    web = nginx({"= /yourapplication": UWSGI.format(address), "/yourapplication/": UWSGI.format(address)})
    seen = facts(process, lambda: web.get("/yourapplication/facts?x"))
    assert (seen["environ"]["SCRIPT_NAME"], seen["environ"]["PATH_INFO"]) == ("/yourapplication", "/facts")
    assert seen["prefix"] == str(app_venv)


def test_files_and_options_count_in_their_order_after_the_environment(launch: Launch, home: Path) -> None:
    (home / "base.ini").write_text(ini(socket=f"{home}/%(site).sock", env=["A=base", "B=base"], threads=2))
    (home / "all.ini").write_text("[uwsgi]\nmodule = nothing\n[live]\nmodule = wsgi\nenv = B=live\nenv = C=live\n")
    words = "--ini base.ini --env A=line --ini all.ini:live --env C=line --pythonpath . --set-ph x=y -S threads=3"
    process = launch("run", *words.split(), UWSGI_SITE="fromenv", UWSGI_THREADS="7", UWSGI_ENV="D=environment")
    seen = facts(process, lambda: request(f"{home}/fromenv.sock"))
    environ = seen["os_environ"]
    assert [environ[name] for name in "ABCD"] == ["line", "live", "line", "environment"]
    assert not [name for name in environ if name.startswith("UWSGI")]


def test_an_ini_alone_with_options_after_it(launch: Launch, home: Path) -> None:
    port = free_port()
    (home / "conf").mkdir()
    (home / "conf" / "site.ini").write_text(ini(socket=f"{home}/%n.sock", module="wsgi", env=["A=file", "N=%n"]))
    process = launch("run", "conf/site.ini", "--http", f"127.0.0.1:{port}", "--env", "A=line", "--chdir", ".")
    seen = facts(process, lambda: get(f"http://127.0.0.1:{port}/facts"))
    assert (seen["os_environ"]["A"], seen["os_environ"]["N"], seen["cwd"]) == ("line", "site", str(home))
    assert request(f"{home}/site.sock").status == 200


@needs("root", "nginx")
@pytest.mark.parametrize("recipe", ["as root, 020 and the web server's group", "666", "020 in a folder with an ACL"])
def test_the_three_permission_recipes(launch: Launch, home: Path, users: Users, nginx: StartNginx, recipe: str) -> None:
    alice, rooted = users.alice, recipe.startswith("as root")
    place = home / "run"
    place.mkdir(mode=0o755)
    os.chown(place, *((0, 0) if rooted else (alice.uid, alice.gid)))
    if rooted:
        os.chown(home, 0, 0)
    if "ACL" in recipe:
        if shutil.which("setfacl") is None:
            pytest.skip("needs setfacl: apt install acl")
        place.chmod(0o700)
        alice.run("setfacl", "-Rm", "d:u:www-data:rwx,u:www-data:rwx", str(place))
    address = place / "simple.sock"
    line = f"run --enable-threads --plugin=python3 -s {address} --manage-script-name --mount /=wsgi:application"
    more = f"--uid {alice.name} --gid www-data --chmod-socket=020" if rooted else f"--chmod-socket={recipe[:3]}"
    process = launch(*line.split(), *more.split(), person=people.current() if rooted else alice)
    wait_for(address.exists, what="the socket")
    web = nginx({"/": UWSGI.format(address)})
    seen = facts(process, lambda: web.get("/facts"))
    about = address.stat()
    assert seen["uids"] == [alice.uid] * 3 == [about.st_uid] * 3
    assert about.st_mode & 0o777 == (0o666 if recipe == "666" else 0o020)
    assert about.st_gid == (33 if rooted else alice.gid)


@needs("root", "nginx")
def test_the_emperor_as_a_service_becomes_the_web_servers_user(
    launch: Launch, home: Path, users: Users, nginx: StartNginx, emperor_venv: Path
) -> None:
    """Its log lies where only root can write, as do its pidfile and what it keeps while it runs."""
    owner = users.alice
    os.chown(home, 0, 0)
    logs, app, vassals = home / "logs", home / "demoapp", home / "vassals"
    for folder in (logs, app, vassals):
        folder.mkdir(mode=0o755)
    shutil.copy(home / "wsgi.py", app / "hello.py")
    lines = {"base": app, "app": "hello", "module": "%(app)", "pythonpath": "%(base)", "callable": "application"}
    (home / "demo.ini").write_text(ini(**lines, socket=f"{app}/%n.sock", chmod_socket=666, logto=f"{app}/%n.log"))
    (vassals / "demo.ini").symlink_to(home / "demo.ini")
    os.chown(app, owner.uid, owner.gid)
    runtime = Path(f"/run/emperor-{owner.name}")
    line = f"--master --emperor {vassals} --die-on-term --uid {owner.name} --gid {owner.gid} --logto {logs}/emperor.log"
    more = f"--emperor-pidfile {logs}/pid --emperor-stats 127.0.0.1:9191 --emperor-throttle 5"
    try:
        process = launch(*line.split(), *more.split(), person=people.current())
        web = nginx({"/": "try_files $uri @app;", "@app": UWSGI.format(app / "demo.sock")})
        seen = facts(process, lambda: web.get("/facts"))
        assert seen["uids"] == [owner.uid] * 3
        log = (logs / "emperor.log").read_text()
        assert "emperor: warning: command line: emperor-stats: has no effect here: " in log
        assert (logs / "pid").read_text() == f"{process.pid}\n"
        ctl = (str(emperor_venv / "bin/emperorctl"), "--control-socket", f"{runtime}/control.sock")
        assert f"is asked by: {ctl[0].rpartition('/')[2]} --control-socket {ctl[2]}" in log
        people.current().run(*ctl, "upgrade")
        people.current().run(*ctl, "status")
        process.terminate()
        assert process.wait(DEADLINE) == 0
    finally:
        print((logs / "emperor.log").read_text() if (logs / "emperor.log").exists() else "no log")
        shutil.rmtree(runtime, ignore_errors=True)


@needs("root")
def test_a_configuration_file_of_uwsgis_names_folders_users_and_what_is_set(
    launch: Launch, home: Path, users: Users
) -> None:
    os.chown(home, 0, 0)
    run = home / "run"
    run.mkdir()
    os.chown(run, users.bob.uid, users.bob.gid)
    for name in ("one", "two"):
        (home / name).mkdir(mode=0o755)
        (home / name / f"{name}.ini").write_text(ini(module="wsgi", pythonpath=home, socket=f"{run}/%n-%(what).sock"))
    text = ini(
        master="true",
        workers=2,
        no_orphans="true",
        log_date="true",
        emperor=["%d%(first)", f"{home}/two"],
        first="one",
        uid=users.bob.name,
        gid=users.bob.name,
        emperor_typo=3,
        vassal_set=["what=set", "env=SET=yes"],
    )
    (home / "emperor.ini").write_text(text)
    process = launch("--ini", "emperor.ini", "--control-socket", f"{run}/control.sock", person=people.current())
    for name in ("one", "two"):
        seen = facts(process, partial(request, f"{run}/{name}-set.sock"))
        assert seen["uids"] == [users.bob.uid] * 3 and seen["os_environ"]["SET"] == "yes"
    log = (home / "log").read_text()
    assert f"warning: {home}/emperor.ini:11: emperor-typo: unknown option -- it has no effect" in log
    assert f"warning: {home}/emperor.ini:3: workers: has no effect on the emperor" in log
    assert "first" not in log and "no-orphans" not in log


def test_what_nobody_knows_is_a_usage_error_that_says_what_was_meant(launch: Launch, home: Path) -> None:
    assert launch("--emperor-tyrent", "vassals.d").wait(DEADLINE) == 2
    assert launch("run", "--wsgi-fil", "wsgi.py").wait(DEADLINE) == 2
    assert launch("-s", "a.sock", "vassals.d").wait(DEADLINE) == 2
    log = (home / "log").read_text()
    assert "did you mean emperor-tyrant?" in log and "did you mean wsgi-file?" in log and "`emperor run`" in log
