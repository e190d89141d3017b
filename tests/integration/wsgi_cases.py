"""The conformance table: what an app does, and what the web server and the log must get of it.

Every engine and protocol is held to every row (``test_wsgi_conformance``). ``flup`` names the fault for which flup as
it comes fails the row; our adapter mends it.
"""

from __future__ import annotations

import hashlib
import io

from tests.integration.wsgi_apps import (
    Bytes,
    Indexed,
    Sized,
    block_before_start,
    calling,
    closing,
    echo,
    endless_recursion,
    generator_with_finally,
    giving,
    hashing,
    iterating,
    late,
    logging,
    logging_from_a_thread,
    raising,
    raising_at_once,
    reading_late,
    saying,
    sorry,
    too_late_to_be_sorry,
    twice,
    twice_behind_the_head,
    writing,
)
from tests.integration.wsgi_case import (
    AS_LATIN_1,
    ASSERTED,
    OWN_LENGTH,
    PAGE,
    STREAM,
    UNCHECKED,
    Case,
    fails,
    reads,
    refused,
)
from tests.integration.wsgi_file_apps import (
    FILE,
    Bare,
    Watched,
    compressed,
    in_a_temporary_file,
    opened,
    piped,
    spooled,
    wrapped_and_iterated,
    wrapping,
    writing_before_a_file,
)

LINES = b"first\nsecond line\n\nlast without an end"
BLOCK = bytes(range(256)) * 32768
BIG = b"b" * 3_000_000

START: dict[str, Case] = {
    "write() alone sends the body": Case(writing(b"one ", b"two"), b"one two", closed=1),
    "write() and the iterable follow each other": Case(writing(b"one ", then=[b"two"]), b"one two", closed=1),
    "write() of nothing sends the head": Case(writing(b""), b"", headers=(), closed=1),
    "write() of text is a 500": fails(writing("text"), "TypeError", flup=AS_LATIN_1),
    "write() beyond the Content-Length sends no more": Case(
        writing(b"12", b"34", then=[b"5"], headers=(("Content-Length", "3"),)), b"123",
        log=("more than its Content-Length",), closed=1, flup="Content-Length bounds nothing"),
    "start_response may come with the first block": Case(late, headers=(("A", "late"),)),
    "a block before start_response is a 500": fails(block_before_start, "before start_response"),
    "start_response never called is a 500": fails(closing([b"x"], status=None), "start_response", closed=1),
    "start_response never called, and no block, is a 500": fails(closing([], status=None), "start_response", closed=1),
    "start_response twice is a 500": fails(twice, "second time without exc_info"),
    "start_response twice behind the head is cut": Case(
        twice_behind_the_head, b"half", cut=True, log=("second time without exc_info",), flup=ASSERTED),
    "exc_info before the head replaces it": Case(sorry, b"sorry", 503, "Busy", (("B", "second"),), silent=True,
        flup=OWN_LENGTH),
    "exc_info behind the head raises the app's own exception": Case(
        too_late_to_be_sorry, b"half", cut=True, log=("UnicodeDecodeError: 'ascii' codec can't decode",),
        flup="it builds the exception anew from its text"),
    "a status without a reason gets the standard one": Case(giving(status="404"), b"x", 404, "Not Found",
        flup="a status of three digits is refused"),
    "a status with an empty reason gets the standard one": Case(giving(status="404 "), b"x", 404, "Not Found",
        flup="an empty reason stays empty"),
    "an unknown status keeps its number": Case(giving(status="299"), b"x", 299, "Unknown", flup=UNCHECKED),
    "a reason is the app's": Case(giving(status="418 Caf\xe9 cr\xe8me"), b"x", 418, "Caf\xe9 cr\xe8me"),
    **{f"status {status!r} is a 500": refused(status=status, flup=flup) for status, flup in (
        (b"200 OK", UNCHECKED), (200, ""), (None, ""), ("", ""), ("OK", ""), ("20 OK", ""), ("2000 OK", ""),
        ("101 Switching Protocols", UNCHECKED), ("100 Continue", UNCHECKED), ("200 OK\r\nEvil: 1", UNCHECKED),
        ("200 O\0K", UNCHECKED), ("200 \u20ac", ""), ("\u0662\u0660\u0660 OK", ""),
    )} | {"status '200 \u20ac' is a 500": fails(giving(status="200 \u20ac"), "UnicodeEncodeError")},
}  # fmt: skip

HEAD: dict[str, Case] = {
    "headers pass as they are": Case(
        giving(headers=(("Set-Cookie", "a=1"), ("set-cookie", "b=\xe9"), ("X-Empty", ""), ("X-Tab", "a\tb"))), b"x",
        headers=(("Set-Cookie", "a=1"), ("set-cookie", "b=\xe9"), ("X-Empty", ""), ("X-Tab", "a\tb")),
        flup=OWN_LENGTH),
    "fields between two hops do not pass": Case(
        giving(headers=tuple((name, "x") for name in (
            "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "TE", "Trailer",
            "Transfer-Encoding", "upgrade", "Status", "A"))),
        headers=(("A", "x"),), flup="fields between two hops pass"),
    **{f"headers {headers!r} are a 500": refused(headers=headers, flup=flup) for headers, flup in (
        (None, ""), ({}, ""), ({"A": "b"}, ""), ([("A", 5)], ""), ([(b"A", "b")], UNCHECKED),
        ([("A", b"b")], UNCHECKED),
        ([("A", "b\r\nEvil: 1")], UNCHECKED), ([("A", "b\nc")], UNCHECKED), ([("A", "b\rc")], UNCHECKED),
        ([("A", "b\n")], UNCHECKED), ([("A", "b\0c")], UNCHECKED), ([("A", "b\x01c")], UNCHECKED),
        ([("A", "b\x7fc")], UNCHECKED), ([("A\r\nB", "c")], UNCHECKED), ([("A\n", "c")], UNCHECKED),
        ([("A:", "b")], UNCHECKED), ([("A B", "c")], UNCHECKED), ([("", "b")], UNCHECKED), ([("\xe9", "b")], UNCHECKED),
        ([("Content-Length", "-1")], UNCHECKED), ([("Content-Length", "1_0")], UNCHECKED),
        ([("Content-Length", "\xb2")], UNCHECKED), ([("Content-Length", "1"), ("content-length", "2")], UNCHECKED),
    )},
    "a header beyond latin-1 is a 500": fails(giving(headers=(("A", "\u20ac"),)), "UnicodeEncodeError"),
    "a header of three parts is a 500": fails(giving(headers=[("A", "b", "c")]), "ValueError"),
    "an answer to HEAD keeps its Content-Length": Case(
        giving([], headers=(("Content-Length", "500"),)), b"", headers=(("Content-Length", "500"),),
        params=(("REQUEST_METHOD", "HEAD"),), silent=True, bodiless=True),
    "a body for HEAD is the web server's to drop": Case(
        giving([b"body"]), b"body", params=(("REQUEST_METHOD", "HEAD"),), silent=True, bodiless=True),
    "a body with 204 is the web server's to drop": Case(
        giving([b"body"], "204 No Content"), b"body", 204, "No Content", bodiless=True),
    "a Content-Length with 304 is the web server's to judge": Case(
        giving([], "304 Not Modified", (("Content-Length", "500"),)), b"", 304, "Not Modified",
        (("Content-Length", "500"),), bodiless=True),
}  # fmt: skip

BODIES: dict[str, Case] = {
    **{f"a body may be {name}": Case(giving(body), answer, headers=(), silent=True, flup=flup)
       for name, body, answer, flup in (
        ("a list", [b"a", b"b"], b"ab", ""),
        ("a tuple", lambda: (b"a", b"b"), b"ab", ""),
        ("an iterator", lambda: iter([b"a", b"b"]), b"ab", ""),
        ("a generator", lambda: (block for block in (b"a", b"b")), b"ab", ""),
        ("a dict's keys", lambda: {b"a": 1, b"b": 2}, b"ab", ""),
        ("an object that is indexed", Indexed, b"ab", ""),
        ("an object with a length", lambda: Sized([b"a", b"b"]), b"ab", ""),
        ("a list of one block", [b"a"], b"a", OWN_LENGTH),
        ("blocks of a subclass", [Bytes(b"a")], b"a", "blocks of a subclass are refused"),
        ("empty", [], b"", ""),
        ("a generator of nothing", lambda: iter(()), b"", ""),
        ("empty blocks", [b"", b"", b""], b"", ""),
        ("blocks with empty ones between", [b"", b"a", b"", b"b", b""], b"ab", ""),
        ("bare bytes", b"bare", b"bare", "it iterates over their numbers"),
        ("bare empty bytes", b"", b"", ""),
        ("one block of 8 MiB", [BLOCK], BLOCK, OWN_LENGTH),
        ("10 000 blocks of one byte", lambda: (b"x" for _ in range(10_000)), b"x" * 10_000, ""),
    )},
    **{f"a body of {name} is a 500": fails(giving(body), flup=flup) for name, body, flup in (
        ("text", "text", AS_LATIN_1), ("a number", 5, ""), ("None", None, ""),
        ("a dict of text", {"a": 1}, AS_LATIN_1), ("a list of text", ["a"], AS_LATIN_1),
        ("a list of numbers", [1], ""), ("a bytearray", [bytearray(b"x")], ""),
        ("a memoryview", [memoryview(b"x")], ""),
    )},
    "no more is sent than Content-Length says": Case(
        closing([b"abc", b"def"], headers=(("Content-Length", "4"),)), b"abcd",
        log=("more than its Content-Length",), closed=1, flup="Content-Length bounds nothing"),
    "less than Content-Length says can be seen": Case(
        closing([b"abc"], headers=(("Content-Length", "9"),)), b"abc", cut=True, closed=1),
}  # fmt: skip

ERRORS: tuple[tuple[str, BaseException], ...] = (
    ("an exception", ValueError("the reason")), ("sys.exit", SystemExit("the reason")),
    ("KeyboardInterrupt", KeyboardInterrupt("the reason")), ("GeneratorExit", GeneratorExit("the reason")),
    ("MemoryError", MemoryError("the reason")), ("an OSError", BrokenPipeError(32, "the reason")),
)  # fmt: skip
EPIPE = "it takes the app's own EPIPE for the web server's"

FAILURES: dict[str, Case] = {
    **{f"{name} in a view is a 500": fails(
        raising_at_once(error), "the reason", flup=EPIPE if isinstance(error, OSError) else "")
       for name, error in ERRORS},
    **{f"{name} before the first block is a 500": fails(raising(error), "the reason", closed=1)
       for name, error in ERRORS[:-1]},
    **{f"{name} behind the head is cut": Case(
        raising(error, b"half"), b"half", cut=True, log=("the reason",), closed=1, flup=ASSERTED)
       for name, error in ERRORS},
    "a failure behind the head leaves the Content-Length to tell": Case(
        raising(ValueError("the reason"), b"half", (("Content-Length", "8"),)), b"half", cut=True,
        log=("the reason",), closed=1),
    "recursion without an end is a 500": fails(endless_recursion, "RecursionError"),
    "close() is called once": Case(closing([b"a", b"b"]), b"ab", silent=True, closed=1),
    "close() is called once where a block is none": fails(closing(["text"]), "TypeError", closed=1, flup=AS_LATIN_1),
    "close() is called once where the blocks go on behind the end": Case(
        generator_with_finally, b"x", closed=1, flup="Content-Length bounds nothing"),
    "a failing close() costs nothing but a line": Case(
        closing([b"x"], error=ValueError("in close")), b"x", log=("close() failed", "in close"), closed=1),
    "sys.exit in close() costs nothing but a line": Case(
        closing([b"x"], error=SystemExit("in close")), b"x", log=("close() failed", "in close"), closed=1),
}  # fmt: skip

INPUT: dict[str, Case] = {
    "read() gives all, and then nothing": reads(LINES, ("read",), ("read",), ("read", 5), ("readline",)),
    "read(None) gives all": reads(LINES, ("read", 3), ("read", None), flup=STREAM),
    "read(-1) gives all": reads(LINES, ("read", -1), ("read", -1)),
    "read(0) gives nothing": reads(LINES, ("read", 0), ("read", 2), ("read", 0)),
    "sizes beyond the end give what is there": reads(LINES, ("read", 30), ("read", 1000), ("read", 1000)),
    "readline() gives lines, and then nothing": reads(LINES, *[("readline",)] * 6),
    "readline(size) keeps to its size": reads(LINES, *[("readline", 4)] * 12, flup=STREAM),
    "readline(-1) gives a whole line": reads(LINES, *[("readline", -1)] * 6, flup=STREAM),
    "readline(None) and readline(0)": reads(LINES, ("readline", None), ("readline", 0), ("readline", 99), flup=STREAM),
    "readlines() gives the lines": reads(LINES, ("readlines",), ("readlines",)),
    "readlines(hint) stops at it": reads(LINES, ("readlines", 1), ("readlines", 12), ("readlines", 0)),
    "calls mix": reads(LINES, ("read", 3), ("readline",), ("read", 2), ("readlines", 1), ("readline", 3), ("read",)),
    "iteration gives the lines once": Case(iterating, repr(LINES.splitlines(True)).encode(), body=LINES),
    "a long line without an end is read": reads(b"l" * 700_000, ("readline", 5), ("readline",)),
    "no body is an empty one": Case(calling(("read",), ("readline",), ("readlines",)), b"b''\nb''\n[]"),
    "a length of nothing is an empty body": Case(calling(("read", 5)), b"b''", params=(("CONTENT_LENGTH", "0"),)),
    "an empty length is none": Case(calling(("read", 5)), b"b''", params=(("CONTENT_LENGTH", ""),)),
    "a body may be read when the answer has begun": Case(reading_late, b"begun body", body=b"body"),
    "3 MB come through in pieces": Case(hashing, hashlib.sha256(BIG).hexdigest().encode(), body=BIG),
    "3 MB that nobody reads cost no answer": Case(giving(), body=BIG, silent=True),
    "a body ends where its length says": Case(
        echo, b"bod", params=(("CONTENT_LENGTH", "3"),), body=b"body", flup="it reads on behind CONTENT_LENGTH"),
    "a body that ends too early is never taken for whole": Case(
        echo, PAGE, 500, "Internal Server Error", params=(("CONTENT_LENGTH", "9"),), body=b"body", hang_up=True,
        log=("the request was given up",), flup="a body cut short looks whole",
        # A web server in front has told its client itself; over HTTP it is the client who hears this.
        http=(b"400 Bad Request\n", 400, "Bad Request")),
    "a body without a length ends with its stream": Case(
        echo, b"chunked", params=(("HTTP_TRANSFER_ENCODING", "chunked"),), body=b"chunked", length=False, hang_up=True),
    "wsgi.input_terminated says that it ends": Case(
        saying("wsgi.input_terminated"), b"True", flup="no wsgi.input_terminated"),
}  # fmt: skip

FILES: dict[str, Case] = {
    "a file is sent whole, and closed once": Case(wrapping(Watched), FILE, silent=True, closed=1),
    "a file is sent from where it stands": Case(wrapping(opened(100_000)), FILE[100_000:], silent=True),
    "a file is sent from where its reader stands, whatever the buffer holds": Case(
        wrapping(opened(10, read=10)), FILE[20:]),
    "a file without a buffer is sent": Case(wrapping(opened(10, buffering=0)), FILE[10:]),
    "a file that can be written is sent": Case(wrapping(opened(10, "r+b", read=5)), FILE[15:]),
    "a file beyond its end is an empty body": Case(wrapping(opened(10**9)), b"", headers=()),
    "a file is sent as far as Content-Length says": Case(
        wrapping(opened(), (("Content-Length", "70000"),)), FILE[:70_000]),
    "a file of any kind is sent as far as Content-Length says": Case(
        wrapping(Watched, (("Content-Length", "70000"),)), FILE[:70_000], closed=1),
    "a file is sent up to its end, which Content-Length names": Case(
        wrapping(opened(), (("Content-Length", str(len(FILE))),)), FILE),
    "a file with a Content-Length of 0 is not sent": Case(wrapping(opened(), (("Content-Length", "0"),)), b""),
    "a file shorter than its Content-Length can be seen to be": Case(
        wrapping(opened(), (("Content-Length", "999999"),)), FILE, cut=True),
    "a file comes behind what was written": Case(writing_before_a_file, b"first " + FILE),
    "a temporary file is sent": Case(wrapping(in_a_temporary_file), FILE[5:]),
    "a spooled file is sent": Case(wrapping(spooled), FILE[5:]),
    "a compressed file is sent as what it holds": Case(wrapping(compressed), FILE),
    "a pipe is sent to its end": Case(wrapping(piped), b"through a pipe"),
    "a file may have no descriptor": Case(wrapping(lambda notes: io.BytesIO(FILE)), FILE),
    "a file may be able to do nothing but read": Case(wrapping(lambda notes: Bare(io.BytesIO(FILE))), FILE),
    "a file may be sent in blocks of a size": Case(wrapping(opened(), (), (1000,)), FILE),
    "an empty file is an empty body": Case(wrapping(lambda notes: io.BytesIO(b"")), b"", headers=()),
    "a file of text is a 500": fails(wrapping(lambda notes: io.StringIO("text")), "TypeError"),
    "a wrapped file may be iterated over by a middleware": Case(wrapped_and_iterated, b"ABC"),
}  # fmt: skip
FILES = {name: case._replace(flup="no wsgi.file_wrapper") for name, case in FILES.items()}

LOG: dict[str, Case] = {
    "wsgi.errors is the log": Case(logging("one\n", "two\n"), log=("one\ntwo\n",)),
    "wsgi.errors needs no flush and no end of a line": Case(logging("no ", "newline"), log=("no newline",)),
    "wsgi.errors takes a line of 1 MiB": Case(logging("l" * 2**20 + "\n"), log=("l" * 2**20 + "\n",)),
    "wsgi.errors takes any text": Case(logging("caf\xe9 \u20ac \udcff\n"), log=("caf\xe9 \u20ac \\udcff\n",)),
    "wsgi.errors takes lines from a thread": Case(logging_from_a_thread, log=("from a thread\nwithout its end",)),
}  # fmt: skip

ENVIRON: dict[str, Case] = {
    f"{name} with {dict(params)!r} is {value!r}": Case(saying(name), repr(value).encode(), params=params, flup=flup)
    for name, params, value, flup in (
        ("wsgi.version", (), (1, 0), ""),
        ("wsgi.run_once", (), False, ""),
        ("wsgi.multithread", (), False, "an engine with one thread says that it has many"),
        ("wsgi.url_scheme", (("HTTPS", "on"),), "https", ""),
        ("wsgi.url_scheme", (("HTTPS", "ON"),), "https", "HTTPS is on and 1 alone"),
        ("wsgi.url_scheme", (("HTTP_X_FORWARDED_PROTO", "https"),), "http", ""),
        ("REMOTE_ADDR", (("REMOTE_ADDR", "10.0.0.1"), ("HTTP_X_FORWARDED_FOR", "6.6.6.6")), "10.0.0.1", ""),
        ("HTTP_PROXY", (("HTTP_PROXY", "http://evil"),), None, "HTTP_PROXY is kept"),
        ("wsgi.evil", (("wsgi.evil", "theirs"),), None, "names of wsgi.* may come from outside"),
        ("PATH_INFO", (("PATH_INFO", "/a//../b"),), "/a//../b", ""),
        ("PATH_INFO", (("SCRIPT_NAME", ""), ("PATH_INFO", "/caf\xc3\xa9 %41"), ("REQUEST_URI", "/caf%C3%A9%20%2541")),
         "/caf\xc3\xa9 %41", ""),
        ("PATH_INFO", (("SCRIPT_NAME", "/app"), ("PATH_INFO", ""), ("REQUEST_URI", "/app%20b")), "",
         "PATH_INFO is made anew from REQUEST_URI"),
    )
}  # fmt: skip

CASES: dict[str, Case] = {**START, **HEAD, **BODIES, **FAILURES, **INPUT, **FILES, **LOG, **ENVIRON}
