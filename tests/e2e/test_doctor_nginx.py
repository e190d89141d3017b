"""``emperorctl doctor`` and nginx's own configuration: each breakage is made, its page seen, the finding read, what it
says written and typed as it stands, and the 200 seen."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from benchmarks.front import SCRATCH, free_port
from tests.e2e.harness import people, procfs
from tests.e2e.harness.daemon import Emperor, Vassal, chown, environ_for
from tests.e2e.harness.fronts import ask
from tests.e2e.harness.people import Users
from tests.e2e.harness.waiting import wait_for
from tests.e2e.harness.web import CONFIG
from tests.requirements import needs

pytestmark = needs("root", "useradd", "nginx", "www-data", "venv")

Finding = dict[str, Any]
UNKNOWN = 404
"""What the first server says to a host that nobody has, as nginx's own default site does."""

LINE = re.compile(r"(?P<text>\S+ .*;)  # (?P<file>/\S+):(?P<line>[0-9]+)")
"""Of a mend: a line of a configuration, and where."""


class Town(NamedTuple):
    """One emperor; one nginx, whose sites are files of their own, read at each HUP."""

    daemon: Emperor
    folder: Path
    port: int
    nginx: subprocess.Popen[bytes]

    @property
    def conf(self) -> Path:
        return self.folder / "nginx.conf"

    def site(self, name: str, *lines: str, host: str = "", file: str = "") -> Path:
        """Written, not yet read: one location with these directives, each in a line of its own."""
        path = self.folder / "sites-enabled" / (file or name)
        inner = "\n".join(f"        {one}" for one in lines)
        head = f"server {{\n    listen 127.0.0.1:{self.port};\n    server_name {host or name + '.example'};\n"
        path.write_text(f"{head}    location / {{\n{inner}\n    }}\n}}\n")
        return path

    def reload(self) -> None:
        """Returns when the old processes, who would still answer now and then, are gone."""
        old = set(procfs.descendants(self.nginx.pid))
        self.typed(f"nginx -t -c {self.conf} && kill -HUP {self.nginx.pid}")
        wait_for(lambda: set(procfs.descendants(self.nginx.pid)), lambda now: now and not now & old, "new processes")

    def status_of(self, name: str, path: str = "/facts", data: bytes | None = None) -> int:
        method = "GET" if data is None else "POST"
        return ask(self.port, path, method, data, {"Host": f"{name}.example"}).status

    def seen_by(self, vassal: Vassal, data: bytes) -> tuple[str, str]:
        """Method and path of a POST to /facts, as its app has them; "": it was not asked."""
        answer = ask(self.port, "/facts", "POST", data, {"Host": f"{vassal.name}.example"})
        environ = answer.json["environ"] if answer.status == 200 else {}
        return environ.get("REQUEST_METHOD", ""), environ.get("PATH_INFO", "")

    def answers(self, name: str, status: int, path: str = "/facts", data: bytes | None = None) -> None:
        """After a mend the old process may still answer for a moment."""
        wait_for(lambda: self.status_of(name, path, data), lambda one: one == status, f"{name}: {status}")

    def doctor(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.daemon.ctl("doctor", *words, "--nginx-conf", str(self.conf))

    def finds(self, name: str, kind: str, subject: str = "") -> Finding:
        """As programs read it; people read the same."""
        done = self.doctor(name, "--json")
        assert done.returncode == 1, done.stdout + done.stderr
        found = [one for one in json.loads(done.stdout) if one["subject"] == (subject or name)]
        chosen: Finding | None = next((one for one in found if one["kind"] == kind), None)
        assert chosen is not None, done.stdout
        printed = self.doctor(name).stdout
        for text in (chosen["what"], *chosen["why"].split("\n"), *(f"mend: {one}" for one in chosen["mend"])):
            assert text in printed
        return chosen

    def is_well(self, name: str) -> None:
        done = self.doctor(name, "--json")
        assert [one for one in json.loads(done.stdout) if one["subject"] == name] == [], done.stdout

    def mends(self, finding: Finding) -> None:
        """Lines are written where it says, the rest is typed; what is offered behind that ("or this") is not."""
        for mend in finding["mend"]:
            line = LINE.fullmatch(mend)
            if line is not None:
                write(Path(line["file"]), int(line["line"]), line["text"])
            elif "  # " not in mend:
                self.typed(mend)

    def typed(self, command: str) -> str:
        environ = environ_for(people.current(), EMPEROR_CONTROL=str(self.daemon.control))
        environ["PATH"] = f"{self.daemon.programs}:{environ['PATH']}"
        done = subprocess.run(["/bin/sh", "-c", command], env=environ, capture_output=True, text=True, cwd="/")
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout


def write(file: Path, number: int, text: str) -> None:
    """As a person does: a directive of that kind in the block is replaced, any other comes before the line."""
    lines = file.read_text().split("\n")
    kind = text.split()[0]
    alike = [at for at, line in enumerate(lines) if _is(line.split(), kind)]
    fresh = f"        {text}"
    if alike:
        lines[alike[0]] = fresh
    else:
        lines.insert(number - 1, fresh)
    file.write_text("\n".join(lines))


def _is(words: list[str], kind: str) -> bool:
    if not words or kind == "include":
        return False
    return words[0] == kind or (kind.endswith("_pass") and words[0].endswith("_pass"))


@pytest.fixture(scope="module")
def town(shared_emperor: Emperor, shared_folder: Path) -> Iterator[Town]:
    with running(shared_emperor, shared_folder / "n") as town:
        yield town


@contextmanager
def running(daemon: Emperor, folder: Path, inside: tuple[str, ...] = ()) -> Iterator[Town]:
    """``inside``: a command that nginx is an argument of."""
    (folder / "sites-enabled").mkdir(parents=True, mode=0o755)
    for name in ("uwsgi_params", "fastcgi_params"):
        shutil.copy(f"/etc/nginx/{name}", folder / name)
    port = free_port()
    first = f"server {{ listen 127.0.0.1:{port} default_server; server_name none.example; return {UNKNOWN}; }}"
    (folder / "nginx.conf").write_text(
        CONFIG.format(
            user="user www-data;",
            folder=folder,
            scratch=SCRATCH.format(folder=folder),
            upstreams="",
            servers=f"{first}\ninclude {folder}/sites-enabled/*;",
        )
    )
    program = shutil.which("nginx")
    assert program
    with (folder / "output").open("wb") as output:
        nginx = subprocess.Popen(
            [*inside, program, "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf", "-p", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            wait_for((folder / "nginx.pid").exists, what="nginx listens")
            yield Town(daemon, folder, port, nginx)
        finally:
            nginx.terminate()
            nginx.wait(10)


@pytest.fixture(scope="module")
def vassals(town: Town, users: Users) -> dict[str, Vassal]:
    """One for each breakage, so that none has the other's; all start at once."""
    named: dict[str, dict[str, object]] = {name: {} for name in ("astray", "unpassed", "asks-uwsgi", "bare", "hidden")}
    named.update({name: {} for name in ("shadow", "stale", "broken", "down", "stranger")})
    named["asks-fastcgi"] = {}
    named["asks-uwsgi"] = {"protocol": "fastcgi"}
    named["upload"] = {"limit_post": 4096}
    named["slow"] = {"harakiri": 20}
    named["closed"] = {}
    named["mounted"] = {"wsgi_file": None, "mount": "/shop=app.py", "manage_script_name": "true"}
    made = {}
    for name, options in named.items():
        options["socket"] = town.daemon.run / f"{name}.sock"
        made[name] = town.daemon.add(name, users.alice, "facts.py", **options)
    for vassal in made.values():
        vassal.running()
    return made


def passed(town: Town, vassal: Vassal, protocol: str = "uwsgi", *more: str) -> Path:
    """A site that passes to it as one does."""
    return town.site(vassal.name, f"include {protocol}_params;", f"{protocol}_pass unix:{vassal.socket};", *more)


def test_a_pass_to_another_path(town: Town, vassals: dict[str, Vassal]) -> None:
    """C3's: ``2: No such file or directory``."""
    one = vassals["astray"]
    town.site(one.name, "include uwsgi_params;", f"uwsgi_pass unix:{town.folder}/{one.name}.sock;")
    town.reload()
    town.answers(one.name, 502)
    assert "No such file or directory" in (town.folder / "error.log").read_text()
    finding = town.finds(one.name, "web-astray")
    assert one.socket in finding["what"] and "502" in finding["why"]
    town.mends(finding)
    town.answers(one.name, 200)
    town.is_well(one.name)


@pytest.mark.parametrize(("name", "wrong"), [("asks-uwsgi", "uwsgi"), ("asks-fastcgi", "fastcgi")])
def test_a_pass_in_the_other_protocol(town: Town, vassals: dict[str, Vassal], name: str, wrong: str) -> None:
    passed(town, vassals[name], wrong)
    town.reload()
    wait_for(lambda: town.status_of(name), lambda status: status in (400, 502, 504), "no page of the app's")
    finding = town.finds(name, "web-protocol")
    town.mends(finding)
    town.answers(name, 200)
    town.is_well(name)


def test_a_pass_without_its_variables(town: Town, vassals: dict[str, Vassal]) -> None:
    one = vassals["bare"]
    town.site(one.name, f"uwsgi_pass unix:{one.socket};")
    town.reload()
    town.answers(one.name, 500)
    finding = town.finds(one.name, "web-variables")
    assert "500" in finding["why"]
    town.mends(finding)
    wait_for(lambda: town.seen_by(one, b"x"), lambda seen: seen == ("POST", "/facts"), "what was asked for")
    town.is_well(one.name)


def test_a_vassal_that_nobody_passes_to(town: Town, vassals: dict[str, Vassal]) -> None:
    one = vassals["unpassed"]
    town.answers(one.name, UNKNOWN)
    finding = town.finds(one.name, "web-unpassed")
    assert finding["mend"] == [f"emperorctl nginx {one.name}"]
    printed = town.typed(f"{finding['mend'][0]} --server-name {one.name}.example --listen 127.0.0.1:{town.port}")
    (town.folder / "sites-enabled" / one.name).write_text(printed)
    town.reload()
    town.answers(one.name, 200)
    town.is_well(one.name)


def test_the_distributions_default_site_takes_the_requests(town: Town, vassals: dict[str, Vassal]) -> None:
    """C3's. Both answer to the same name here; on a machine of its own it is every name."""
    one = vassals["hidden"]
    default = town.site("default", "return 403;", host=f"{one.name}.example")
    passed(town, one)
    town.reload()
    town.answers(one.name, 403)
    finding = town.finds(one.name, "web-default-site")
    assert f"rm {default}" in finding["mend"]
    town.mends(finding)
    town.answers(one.name, 200)
    town.is_well(one.name)


def test_another_site_of_the_same_name_comes_first(town: Town, vassals: dict[str, Vassal]) -> None:
    one = vassals["shadow"]
    other = town.site("00-old", "return 403;", host=f"{one.name}.example")
    passed(town, one)
    town.reload()
    town.answers(one.name, 403)
    finding = town.finds(one.name, "web-shadowed")
    assert str(other) in finding["what"] and str(other) in finding["mend"][0]
    other.unlink()
    town.mends(finding)
    town.answers(one.name, 200)
    town.is_well(one.name)


def test_a_return_answers_before_the_pass(town: Town, vassals: dict[str, Vassal]) -> None:
    one = vassals["closed"]
    path = passed(town, one, "uwsgi", "return 503;")
    town.reload()
    town.answers(one.name, 503)
    finding = town.finds(one.name, "web-shadowed")
    assert f"{path}:7" in finding["what"] and f"{path}:7" in finding["mend"][0]
    path.write_text(path.read_text().replace("return 503;", ""))
    town.mends(finding)
    town.answers(one.name, 200)
    town.is_well(one.name)


def test_a_path_at_which_no_app_is_mounted(town: Town, vassals: dict[str, Vassal]) -> None:
    one = vassals["mounted"]
    path = passed(town, one)
    whole = path.read_text()
    path.write_text(whole.replace("location / {", "location /shopp {"))
    town.reload()
    town.answers(one.name, 404, "/shopp/facts")
    finding = town.finds(one.name, "web-mount")
    text, _, around = finding["mend"][0].partition("  # around ")
    assert text == "location /shop" and around.startswith(f"{path}:")
    path.write_text(path.read_text().replace("location /shopp", text))
    town.mends(finding)
    town.answers(one.name, 200, "/shop/facts")
    town.is_well(one.name)


def test_a_directive_that_nginx_does_not_know(town: Town, vassals: dict[str, Vassal]) -> None:
    """nginx goes on as it was told before; nobody claims then that no line passes to the vassal."""
    one = vassals["broken"]
    path = passed(town, one)
    whole = path.read_text()
    path.write_text(whole.replace("uwsgi_pass", "uwsgi_pas"))
    try:
        finding = town.finds(one.name, "web-configuration", "nginx")
        assert finding["what"].startswith(f"{path}:6: ") and "uwsgi_pass is meant" in finding["what"]
        assert "web-unpassed" not in town.doctor(one.name, "--json").stdout
        with pytest.raises(AssertionError, match=r'unknown directive "uwsgi_pas"'):
            town.typed(finding["mend"][0])
    finally:
        path.unlink()


def test_bodies_that_the_app_would_take_are_refused_by_nginx(town: Town, vassals: dict[str, Vassal]) -> None:
    one = vassals["upload"]
    passed(town, one, "uwsgi", "client_max_body_size 1k;")
    town.reload()
    town.answers(one.name, 200)
    body = b"x" * 3000
    assert town.status_of(one.name, "/echo", body) == 413
    finding = town.finds(one.name, "web-body-limit")
    assert "413" in finding["why"] and "4096" in finding["what"]
    town.mends(finding)
    town.answers(one.name, 200, "/echo", body)
    town.is_well(one.name)


def test_nginx_gives_up_before_harakiri(town: Town, vassals: dict[str, Vassal]) -> None:
    one = vassals["slow"]
    passed(town, one, "uwsgi", "uwsgi_read_timeout 1s;")
    town.reload()
    town.answers(one.name, 200)
    held = one.folder / "held"
    held.mkdir()
    chown(held, one.owner)
    assert town.status_of(one.name, f"/hold?{held}") == 504
    (held / "go").touch()
    finding = town.finds(one.name, "web-timeout")
    assert "504" in finding["why"] and "20 s" in finding["what"]
    town.mends(finding)
    town.answers(one.name, 200, f"/hold?{held}")
    town.is_well(one.name)


def test_nginx_runs_with_an_older_configuration(town: Town, vassals: dict[str, Vassal]) -> None:
    """The line is mended, and nobody has told nginx."""
    one = vassals["stale"]
    town.site(one.name, "return 403;")
    town.reload()
    town.answers(one.name, 403)

    def looked_at_again() -> str:
        passed(town, one)
        return town.doctor(one.name).stdout

    # A process tells the second of its birth alone: a file of that same second may be older.
    wait_for(looked_at_again, lambda text: "it does not know" in text, "stale")
    finding = town.finds(one.name, "web-stale", "nginx")
    assert town.status_of(one.name) == 403
    town.mends(finding)
    town.answers(one.name, 200)
    wait_for(lambda: town.doctor(one.name, "--json").stdout, lambda text: "web-stale" not in text, "not stale")


def test_nginx_does_not_take_its_configuration(town: Town, vassals: dict[str, Vassal]) -> None:
    """A reload is refused in its log alone: the new site is not there."""
    one = vassals["broken"]
    path = passed(town, one)
    whole = path.read_text()
    path.write_text(whole.rstrip().removesuffix("}"))
    town.nginx.send_signal(1)
    finding = town.finds(one.name, "web-configuration", "nginx")
    assert town.status_of(one.name) == UNKNOWN
    with pytest.raises(AssertionError, match=r"unexpected end of file|expecting"):
        town.typed(finding["mend"][0])
    path.write_text(whole)
    town.typed(finding["mend"][0])
    town.reload()
    town.answers(one.name, 200)


def test_nginx_runs_as_somebody_who_is_given_no_sockets(town: Town, vassals: dict[str, Vassal], users: Users) -> None:
    """C1's two users, the other way round: ``13: Permission denied``."""
    one, bob = vassals["stranger"], users.bob.name
    passed(town, one)
    whole = town.conf.read_text()
    town.conf.write_text(whole.replace("user www-data;", f"user {bob};"))
    try:
        town.reload()
        town.answers(one.name, 502)
        assert "13: Permission denied" in (town.folder / "error.log").read_text()
        finding = town.finds(one.name, "web-stranger", "nginx")
        assert f"web-user = {bob}" in finding["mend"][0]
        town.typed(finding["mend"][1].partition(" && ")[0])
        town.reload()
        town.answers(one.name, 200)
        assert town.status_of(one.name) == 200
    finally:
        subprocess.run(["gpasswd", "-d", bob, "www-data"], capture_output=True)
        town.conf.write_text(whole)
        town.reload()


def test_nginx_has_a_tmp_of_its_own(shared_emperor: Emperor, users: Users, folder: Path) -> None:
    """As a unit with PrivateTmp=yes: the socket is there for everybody else."""
    place = f"/var/tmp/{folder.parent.name}-{os.getpid()}.sock"
    one = shared_emperor.add("private", users.alice, "facts.py", socket=place)
    one.running()
    private = folder / "tmp"
    private.mkdir(mode=0o777)
    inside = ("unshare", "--mount", "sh", "-c", f'mount --bind {private} /var/tmp && exec "$@"', "sh")
    with running(shared_emperor, folder / "n", inside) as town:
        passed(town, one)
        town.reload()
        town.answers(one.name, 502)
        assert "No such file or directory" in (town.folder / "error.log").read_text()
        finding = town.finds(one.name, "web-private-tmp")
        assert place in finding["what"] and finding["mend"][0].startswith("socket = /run/emperor/private.sock  # ")
        one.write(socket=town.daemon.run / "private.sock")
        passed(town, one)
        town.reload()
        town.answers(one.name, 200)
        town.is_well(one.name)


def test_nginx_does_not_run(town: Town, vassals: dict[str, Vassal]) -> None:
    """The last of this file: nobody is connected to any more."""
    one = vassals["down"]
    passed(town, one)
    town.reload()
    town.answers(one.name, 200)
    town.nginx.terminate()
    town.nginx.wait(10)
    with pytest.raises(ConnectionRefusedError):
        town.status_of(one.name)
    finding = town.finds(one.name, "web-down", "nginx")
    assert finding["mend"] == [f"nginx -c {town.conf}"]
