"""``log-format`` behind a real nginx: what came from a visitor is a line that those who read access logs understand."""

from __future__ import annotations

import re

from tests.e2e.conftest import StartEmperor, StartNginx
from tests.e2e.harness.daemon import Emperor, Vassal
from tests.e2e.harness.waiting import wait_for
from tests.e2e.harness.web import PASS
from tests.requirements import needs

pytestmark = needs("root", "nginx", "www-data")

COMBINED = re.compile(
    r"(?P<addr>\S+) - (?P<user>\S+) \[(?P<time>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\]"
    r' "(?P<method>\S+) (?P<uri>\S+) (?P<proto>HTTP/\S+)" (?P<status>\d{3}) (?P<size>\d+|-)'
    r' "(?P<referer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)"$'
)
"""As goaccess and its like take a line of Apache's apart; the stamp and the worker stand in front."""

# nginx refuses control characters itself.
NASTY = 'a "b" \\ \xe9'


def found(daemon: Emperor, site: Vassal, count: int) -> list[dict[str, str]]:
    """The requests that the log tells of."""

    def look() -> list[dict[str, str]]:
        done = daemon.ctl("logs", "-n", "100", site.name)
        assert done.returncode == 0, done.stderr
        matches = (COMBINED.search(line) for line in done.stdout.splitlines())
        return [match.groupdict() for match in matches if match]

    return wait_for(look, lambda lines: len(lines) >= count, f"{count} lines in the log")


def test_visits_are_lines_of_the_combined_format_and_options_say_which(
    emperor: StartEmperor, nginx: StartNginx
) -> None:
    daemon = emperor().start()
    silent = daemon.add("silent")
    site = daemon.add("site", log_format="combined")
    form = "<%(wid)> %(uri)|%(status)|%(var.HTTP_X)|100%%"
    errors = daemon.add("errors", protocol="fastcgi", log_format=form, disable_logging="yes", log_5xx="yes")
    for one in (silent, site, errors):
        one.running()
    web = nginx(
        {
            "/": PASS["uwsgi"].format(site.socket),
            "/silent": PASS["uwsgi"].format(silent.socket),
            "/fail": PASS["fastcgi"].format(errors.socket),
            "/errors": PASS["fastcgi"].format(errors.socket),
        }
    )
    body = web.get("/facts?q=1", headers={"Referer": "http://example.org/", "User-Agent": NASTY}).body
    web.get("/facts", data=b"x" * 100)
    assert web.get("/silent").status == web.get("/errors").status == 200
    assert web.get("/fail?x", headers={"X": "ex"}).status == 500
    first, second = found(daemon, site, 2)
    assert (first["method"], first["uri"], first["proto"], first["status"]) == ("GET", "/facts?q=1", "HTTP/1.1", "200")
    assert (first["addr"], first["user"], first["size"]) == ("127.0.0.1", "-", str(len(body)))
    assert (first["referer"], first["agent"]) == ("http://example.org/", 'a \\"b\\" \\\\ \\xe9')
    assert second["method"] == "POST"

    def told() -> str:
        return daemon.ctl("logs", "-n", "100", errors.name).stdout

    text = wait_for(told, lambda text: "|500|" in text, "the line of the failure")
    assert "[1] <1> /fail?x|500|ex|100%\n" in text and "/errors|" not in text
    assert "/silent" not in daemon.ctl("logs", "-n", "100", silent.name).stdout
