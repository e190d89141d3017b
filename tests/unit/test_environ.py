"""What a web server's parameters become."""

from __future__ import annotations

from typing import Any, Optional

import pytest

from emperor.errors import ProtocolError
from emperor.wsgi.environ import DEFAULTS, OURS, build, content_length

OWN = {**dict.fromkeys(OURS, "ours"), "wsgi.url_scheme": "http"}


def environ(*pairs: tuple[str, str]) -> dict[str, Any]:
    told = (("REQUEST_METHOD", "GET"), *pairs)
    return build([name for name, _ in told], [value for _, value in told], OWN)


def changed(*pairs: tuple[str, str]) -> dict[str, Any]:
    before = environ(("PATH_INFO", "/"))
    return {name: value for name, value in environ(("PATH_INFO", "/"), *pairs).items() if before.get(name) != value}


def test_what_pep_3333_requires_is_always_there() -> None:
    assert environ() == {**DEFAULTS, **OWN, "PATH_INFO": "/"}


def test_a_web_server_that_does_not_say_what_was_asked_for_is_told_so() -> None:
    """nginx without ``include uwsgi_params`` sends the client's headers alone; a default would show the front page."""
    with pytest.raises(ProtocolError, match="include uwsgi_params") as caught:
        build(["HTTP_HOST"], ["blog"], OWN)
    assert caught.value.status == 500


@pytest.mark.parametrize(
    "pairs, expected",
    [
        ([("HTTP_X", "a"), ("HTTP_X", "b")], {"HTTP_X": "a, b"}),
        ([("HTTP_COOKIE", "a=1"), ("HTTP_COOKIE", "b=2")], {"HTTP_COOKIE": "a=1; b=2"}),
        ([("HTTP_X", ""), ("HTTP_X", "b"), ("HTTP_X", "c")], {"HTTP_X": ", b, c"}),
        # nginx sends a parameter twice when fastcgi_params are overridden: the later one is the administrator's word.
        ([("SCRIPT_NAME", "/whole/path"), ("SCRIPT_NAME", "/app")], {"SCRIPT_NAME": "/app"}),
        ([("HTTP_HOST", "a"), ("HTTP_HOST", "a")], {"HTTP_HOST": "a"}),
        ([("HTTP_PROXY", "http://evil")], {}),
        ([("HTTP_CONTENT_LENGTH", "5"), ("HTTP_CONTENT_TYPE", "x")], {}),
        ([("wsgi.input", "theirs"), ("wsgi.url_scheme", "ftp"), ("HTTP_X", "1")], {"HTTP_X": "1"}),
        ([("A=B", "x"), ("A B", "x"), ("\xe9", "x"), ("Mixed_Case", "kept")], {"Mixed_Case": "kept"}),
        ([("UWSGI_CHDIR", "/etc")], {"UWSGI_CHDIR": "/etc"}),
        ([("HTTP_X", "\xe9\x85")], {"HTTP_X": "\xe9\x85"}),
        ([("SSL_CLIENT_CERT", "-----BEGIN\n..\n")], {"SSL_CLIENT_CERT": "-----BEGIN\n..\n"}),
        ([("HTTPS", "on")], {"HTTPS": "on", "wsgi.url_scheme": "https"}),
        ([("HTTPS", "1")], {"HTTPS": "1", "wsgi.url_scheme": "https"}),
        ([("HTTPS", "off"), ("REQUEST_SCHEME", "https")], {"HTTPS": "off", "REQUEST_SCHEME": "https",
                                                           "wsgi.url_scheme": "https"}),
        ([("HTTPS", "")], {"HTTPS": ""}),
        ([("HTTP_X_FORWARDED_PROTO", "https")], {"HTTP_X_FORWARDED_PROTO": "https"}),
        ([("SCRIPT_NAME", "/")], {}),
        # PEP 3333: "can never be empty strings"; nginx without a server_name sends one
        ([("SERVER_NAME", ""), ("SERVER_PORT", ""), ("REQUEST_METHOD", "")], {}),
        # Repeats
        ([("HTTP_X", "a")] * 3, {"HTTP_X": "a, a, a"}),
        ([("HTTP_COOKIE", "a=1"), ("HTTP_X", "1"), ("HTTP_COOKIE", "b=2"), ("HTTP_X", "2")],
         {"HTTP_COOKIE": "a=1; b=2", "HTTP_X": "1, 2"}),
        ([("REMOTE_ADDR", "1.1.1.1"), ("REMOTE_ADDR", "2.2.2.2")], {"REMOTE_ADDR": "2.2.2.2"}),
        ([("CONTENT_LENGTH", "5"), ("CONTENT_LENGTH", "5")], {"CONTENT_LENGTH": "5"}),
        ([("HTTP_PROXY", "a"), ("HTTP_PROXY", "b"), ("HTTP_X", "1"), ("HTTP_X", "2")], {"HTTP_X": "1, 2"}),
        # Names: one that no app could mean is dropped, wherever it stands
        ([("1A", "x"), ("HTTP_X", "1")], {"HTTP_X": "1"}),
        ([("HTTP_X", "1"), ("1A", "x")], {"HTTP_X": "1"}),
        ([("HTTP_X\n", "x"), ("HTTP_X\0", "x"), ("HTTP-X", "x"), ("A.B", "x"), ("\u0660", "x")], {}),
        ([("\xaa", "x"), ("\xb5Name", "x")], {}),
        ([("wsgi.errors", "x"), ("wsgi.input", "y"), ("wsgi.input", "z")], {}),
        ([("emperor.proxy_fix.orig", "x"), ("werkzeug.request", "x")], {}),
        ([("_", "x"), ("a", "y"), ("Range", "z")], {"_": "x", "a": "y", "Range": "z"}),
        # What was once obeyed, and is not
        ([("UWSGI_SCHEME", "https"), ("HTTP_X_FORWARDED_SSL", "on"), ("HTTP_HTTPS", "on")],
         {"UWSGI_SCHEME": "https", "HTTP_X_FORWARDED_SSL": "on", "HTTP_HTTPS": "on"}),
        ([("HTTP_SCRIPT_NAME", "/evil"), ("HTTP_PATH_INFO", "/evil"), ("HTTP_REMOTE_USER", "root")],
         {"HTTP_SCRIPT_NAME": "/evil", "HTTP_PATH_INFO": "/evil", "HTTP_REMOTE_USER": "root"}),
        # The scheme
        ([("HTTPS", "ON")], {"HTTPS": "ON", "wsgi.url_scheme": "https"}),
        ([("HTTPS", "0"), ("REQUEST_SCHEME", "http")], {"HTTPS": "0", "REQUEST_SCHEME": "http"}),
        ([("REQUEST_SCHEME", "HTTPS")], {"REQUEST_SCHEME": "HTTPS", "wsgi.url_scheme": "https"}),
        ([("REQUEST_SCHEME", "javascript")], {"REQUEST_SCHEME": "javascript"}),
        ([("HTTPS", "off"), ("HTTPS", "on")], {"HTTPS": "on", "wsgi.url_scheme": "https"}),
        # Odd, and the app's to judge
        ([("REQUEST_METHOD", "TRACE")], {"REQUEST_METHOD": "TRACE"}),
        ([("REQUEST_METHOD", "P\xd6ST")], {"REQUEST_METHOD": "P\xd6ST"}),
        ([("REQUEST_URI", "/" + "x" * 8192)], {"REQUEST_URI": "/" + "x" * 8192}),
        ([("QUERY_STRING", "a=%00&b=%0d%0a")], {"QUERY_STRING": "a=%00&b=%0d%0a"}),
        ([("HTTP_X", "tab\there \x01\x7f\xff")], {"HTTP_X": "tab\there \x01\x7f\xff"}),
        ([("CONTENT_TYPE", ""), ("CONTENT_LENGTH", "")], {"CONTENT_TYPE": "", "CONTENT_LENGTH": ""}),
    ],
)  # fmt: skip
def test_a_parameter_becomes(pairs: list[tuple[str, str]], expected: dict[str, str]) -> None:
    assert changed(*pairs) == expected


@pytest.mark.parametrize(
    "pairs",
    [
        [("CONTENT_LENGTH", "1"), ("CONTENT_LENGTH", "2")],
        [("CONTENT_TYPE", "a"), ("CONTENT_TYPE", "b")],
        [("HTTP_HOST", "a"), ("HTTP_HOST", "b")],
        [("HTTP_X", "a\r\nEvil: 1")],
        [("HTTP_X", "a\rb")],
        [("PATH_INFO", "/a\0b")],
        [("SSL_CLIENT_CERT", "a\0b")],
        [("HTTP_X", "a\nb"), ("HTTP_X", "overwritten")],
        [("HTTP_TRANSFER_ENCODING", "chunked"), ("HTTP_TRANSFER_ENCODING", "identity")],
        [("CONTENT_LENGTH", ""), ("CONTENT_LENGTH", "5")],
        [("CONTENT_LENGTH", "5"), ("CONTENT_LENGTH", "05")],
        [("HTTP_HOST", "a"), ("HTTP_X", "1"), ("HTTP_HOST", "A")],
        [("HTTP_X", "a\0b")],
        [("HTTP_X", "\n")],
        [("REQUEST_METHOD", "GET\r")],
        [("QUERY_STRING", "a\nb")],
        [("SSLX", "a\nb")],
    ],
)
def test_what_has_no_single_meaning_is_refused(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(ProtocolError) as caught:
        environ(*pairs)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "script, path, software, expected",
    [
        ("", "", None, ("", "/")),
        ("/app", "", None, ("/app", "")),
        ("/app", "/x", "nginx/1.22", ("/app", "/x")),
        # nginx's stock fastcgi_params: no PATH_INFO at all
        ("/foo/bar", None, "nginx/1.22", ("", "/foo/bar")),
        ("/app.fcgi", None, "Apache/2.4", ("/app.fcgi", "")),
        ("/app", "", "nginx/1.22", ("/app", "")),
        (None, None, None, ("", "/")),
        (None, "/x", None, ("", "/x")),
        ("/", "/x", None, ("", "/x")),
        ("/", "", None, ("", "/")),
        ("/", None, "nginx/1.22", ("", "/")),
        ("", None, "nginx/1.22", ("", "/")),
        ("/app", None, None, ("/app", "")),
        # Apache's mod_proxy_uwsgi, when it is asked for /app/ itself
        ("/app/", "/", "Apache/2.4", ("/app", "/")),
        ("/app/", "/x", None, ("/app", "/x")),
        ("/app/", "x", None, ("/app", "/x")),
        ("/app/", "", None, ("/app", "/")),
        ("/foo/", None, "nginx/1.22", ("", "/foo/")),
        ("/app/", None, None, ("/app", "/")),
    ],
)
def test_the_path_is_where_the_web_server_meant_it(
    script: str, path: Optional[str], software: Optional[str], expected: tuple[str, str]
) -> None:
    pairs = [("SCRIPT_NAME", script), ("PATH_INFO", path), ("SERVER_SOFTWARE", software)]
    built = environ(*((name, value) for name, value in pairs if value is not None))
    assert (built["SCRIPT_NAME"], built["PATH_INFO"]) == expected


FPM, GENERIC = "proxy:fcgi://localhost", ""


@pytest.mark.parametrize("kind", [FPM, GENERIC, "proxy:fcgi://[::1]:3000", "proxy:balancer://several"])
@pytest.mark.parametrize(
    "asked, behind, expected",
    [
        ("/app/x", "/x", ("/app", "/x")),
        ("/app/caf\xc3\xa9/a b", "/caf%C3%A9/a%20b", ("/app", "/caf\xc3\xa9/a b")),
        # AllowEncodedSlashes NoDecode: with GENERIC the first, else the second
        ("/app/a%2Fb", "/a%252Fb", ("/app", "/a%2Fb")),
        ("/app/a b%2Fc", "/a%20b%2Fc", ("/app", "/a b%2Fc")),
        ("/app/", "/", ("/app", "/")),
        ("/app", "/", ("/app", "")),
        ("/x/", "/x/", ("", "/x/")),
        ("/", "/", ("", "/")),
        # ProxyPass "/app" "fcgi://localhost/", where only one of the two ends with a slash
        ("/app/x", "//x", ("/app", "/x")),
    ],
)
def test_apaches_mod_proxy_fcgi_says_only_with_the_script_where_it_is_mounted(
    kind: str, asked: str, behind: str, expected: tuple[str, str]
) -> None:
    built = environ(("SERVER_SOFTWARE", "Apache/2.4"), ("SCRIPT_NAME", asked), ("SCRIPT_FILENAME", kind + behind))
    assert (built["SCRIPT_NAME"], built["PATH_INFO"]) == expected


@pytest.mark.parametrize(
    "filename, expected",
    [
        # ProxyPass "/" "fcgi://localhost/srv/www/": a folder, for PHP's sake
        ("proxy:fcgi://localhost/srv/www/app/x", ("", "/app/x")),
        # mod_fcgid
        ("/srv/www/x", ("/app/x", "")),
        ("/srv/www/app/x", ("/app/x", "")),
        ("", ("/app/x", "")),
    ],
)
def test_a_script_that_is_a_file_does_not_say_it(filename: str, expected: tuple[str, str]) -> None:
    built = environ(("SERVER_SOFTWARE", "Apache/2.4"), ("SCRIPT_NAME", "/app/x"), ("SCRIPT_FILENAME", filename))
    assert (built["SCRIPT_NAME"], built["PATH_INFO"]) == expected


def test_the_template_stays_as_it_is_and_the_environ_is_a_plain_dict() -> None:
    """PEP 3333: "must be a builtin Python dictionary (not a subclass, UserDict or other dictionary emulation)"."""
    before = dict(OWN)
    first = environ(("HTTPS", "on"), ("SCRIPT_NAME", "/"))
    first["wsgi.input"] = first["SERVER_NAME"] = "changed"
    assert before == OWN
    assert type(first) is dict
    assert environ(("PATH_INFO", "/")) == {**DEFAULTS, **OWN, "PATH_INFO": "/"}


def test_a_path_is_never_normalised() -> None:
    assert environ(("PATH_INFO", "/a//../%2e/\xe9"))["PATH_INFO"] == "/a//../%2e/\xe9"


@pytest.mark.parametrize("text, expected", [(None, None), ("", None), ("0", 0), ("007", 7), ("9" * 18, 10**18 - 1)])
def test_content_length_is_read(text: Optional[str], expected: Optional[int]) -> None:
    assert content_length({} if text is None else {"CONTENT_LENGTH": text}) == expected


@pytest.mark.parametrize("text", ["-1", "+1", " 1", "1 ", "1_0", "0x1", "12abc", "1,1", "\u0665", "\xb2", "9" * 19])
def test_content_length_is_ascii_digits_or_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        content_length({"CONTENT_LENGTH": text})
