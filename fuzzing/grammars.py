"""What the six formats are made of: tokens, pieces, lengths, and faults that only one of them can have. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from emperor.config.language.logic import ENDS, is_block
from emperor.config.options import TABLE
from emperor.control.messages import VERBS
from fuzzing import corpus, trees
from fuzzing.mutation import NUMBERS, Fault, Grammar, Length

# --- JSON: control messages and the channel ---

_OPTIONS = sorted({name for verb in VERBS.values() for name in verb.options})
_CONTROL_WORDS = ("verb", "names", "options", *VERBS, *_OPTIONS, "all", "blog", "user", "x" * 64, "x" * 65, "-a", ".a")


def control() -> Grammar:
    return trees.grammar(corpus.control(), _CONTROL_WORDS, 66_000)


def channel() -> Grammar:
    stock = corpus.channel()
    words = {word for one in stock for word in re.findall(r'"([a-z_]+)"', one.decode("utf-8", "replace"))}
    return trees.grammar(stock, tuple(sorted(words)), 33_000)


# --- inis ---

_INI = ("[uwsgi]\n", "[emperor]\n", "[sec]\n", "[", "]", "=", "%", "%(", ")", "$(", "@(", "%%", "%n", "%d", "%(_)",
        "%(a)", "%(a + 1)", "%(a / 0)", "%(a ++)", "%(k%(a))", "$(HOME)", "@(/etc/emperor/other.ini)", ":sec", ";",
        "#", "\n", "\r\n", "\t", "\v", "\x1b", "\ufeff", "é", "\u2028", "\0", "*", "..", "/", "://", "\\",
        "set = ", "set-ph = ", "include = other.ini\n", "ini = :sec\n", "inherit = other.ini\n", "end =\n",
        "for = 1 2 3\n", "for-times = 1000\n", "for-glob = *.ini\n", "a = %(b)%(b)%(b)\n", "b = %(a)\n")  # fmt: skip
_ADDRESSES = ("/tmp/a.sock", "@abstract", ":80", "127.0.0.1:1", "[::1]:8000", "0.0.0.0:99999", "x:", "::", "*:80",
              "/" + "a" * 107, "fd://3", "http://x", "root", "0", "alice", "65534", "999999999999", "yes", "1M", "5.5",
              "auto", "a:b", "a.b:c()", "/x=a.py", "KEY=VALUE", "LD_PRELOAD=/x.so", "PYTHONPATH=", "=", "666", "0o7",
              "%(addr) - %(user)", "combined", "whole", "rolling", "native", "flup", "$(HOME)", "%n.sock")  # fmt: skip
_NAMES = tuple(sorted({name for option in TABLE for name in (option.name, *option.aliases)}))
_BLOCKS = tuple(
    name
    for name in ("for", "for-times", "if-hostname-match", "if-env", "if-not-env", "if-exists", "if-opt", "if-dir")
    if is_block(name)
)


def _line(random: Random, data: bytes, grammar: Grammar) -> bytes:
    """One more line that somebody could mean, at a line's end."""
    name = random.choice((*_NAMES, random.choice(_BLOCKS), random.choice(sorted(ENDS))))
    value = random.choice((random.choice(_ADDRESSES), random.choice(NUMBERS).decode("utf-8"), random.choice(_INI[:40])))
    at = data.find(b"\n", random.randrange(len(data) + 1)) + 1
    return data[:at] + f"{name} = {value}\n".encode() + data[at:]


def ini() -> Grammar:
    tokens = (*_INI, *_ADDRESSES, *(f"\n{name} = " for name in _NAMES))
    return Grammar(
        corpus.inis(),
        tuple(token.encode("utf-8", "surrogatepass") for token in tokens),
        lambda data: data.splitlines(keepends=True),
        own=(_line,),
        longest=66_000,
    )


# --- uwsgi ---


def _uwsgi_pairs(data: bytes) -> list[Length]:
    """The lengths of names and values, as far as they fit."""
    found, at = [Length(1, 2, "little")] if len(data) >= 4 else [], 4
    while at + 2 <= len(data) and len(found) < 2000:
        found.append(Length(at, 2, "little"))
        at += 2 + int.from_bytes(data[at : at + 2], "little")
    return found


def _split_uwsgi(data: bytes) -> list[bytes]:
    places = [one.at for one in _uwsgi_pairs(data)[1:]][::2]
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


def _mend_uwsgi(data: bytes) -> bytes:
    """The packet's length is that of the variables that fit; what is behind is the body."""
    if len(data) < 4:
        return data
    marks = _uwsgi_pairs(data)
    last = marks[-1] if len(marks) % 2 else marks[-2]
    end = last.at + 2 + int.from_bytes(data[last.at : last.at + 2], "little") if last.at >= 4 else len(data)
    size = min(len(data), end) - 4
    return data[:1] + (max(0, size) & 0xFFFF).to_bytes(2, "little") + data[3:]


def _variables(pair: Callable[[bytes, bytes], bytes]) -> tuple[bytes, ...]:
    """Whole pairs that mean something, in the wire's own form."""
    values = {"CONTENT_LENGTH": ("5", "0", "-1", "99999999999999999999", "\u0665", "5 ", ""), "HTTPS": ("on",),
              "PATH_INFO": ("", "/", "//a/../b", "a\nb", "/caf\xc3\xa9", "\0"), "SCRIPT_NAME": ("/", "/a/", "a", ""),
              "REQUEST_METHOD": ("", "GET", "HEAD", "TRACE", "G\r\nX: y"), "HTTP_PROXY": ("http://evil/",),
              "SERVER_SOFTWARE": ("nginx/1", "Apache/2"), "SCRIPT_FILENAME": ("proxy:fcgi://x/%2Fa", "/a"),
              "HTTP_TRANSFER_ENCODING": ("chunked", "gzip"), "HTTP_HOST": ("a", "b", "[::1]:0"), "wsgi.input": ("x",),
              "HTTP_COOKIE": ("a=1", '"é' * 1000), "SSL_CLIENT_CERT": ("-\n-",), "": ("x",), "UWSGI_SCHEME": ("https",),
              "HTTP_X_FORWARDED_FOR": ("1.2.3.4, ::1",), "HTTP_X_FORWARDED_PORT": ("99999", "8080"), "A b": ("x",),
              "HTTP_X_FORWARDED_PROTO": ("HTTPS",),
              "HTTP_X_FORWARDED_HOST": ("h:0", "h:80"), "HTTP_X_FORWARDED_PREFIX": ("//x", "/x"), "SERVER_PORT": ("",),
              "REQUEST_URI": ("/a?b", "/" + "\\" * 2500, "*", "http://h/x"),
              "UWSGI_FILE": ("/etc/passwd",)}  # fmt: skip
    return tuple(pair(name.encode("latin-1"), value.encode("utf-8")) for name, some in values.items() for value in some)


def _uwsgi_pair(name: bytes, value: bytes) -> bytes:
    return len(name).to_bytes(2, "little") + name + len(value).to_bytes(2, "little") + value


def _more_variables(random: Random, data: bytes, grammar: Grammar) -> bytes:
    """Where a pair begins, so that those behind it are still read."""
    pieces = grammar.split(data)
    place = random.randint(1, len(pieces)) if pieces else 0
    pieces[place:place] = [random.choice(grammar.tokens) for _ in range(random.choice((1, 2, 3)))]
    return b"".join(pieces)


def uwsgi() -> Grammar:
    tokens = (*_variables(_uwsgi_pair), b"\x1e\0\0\0", b"GET / HTTP/1.1\r\n", b"\x01\x01\0\x01")
    return Grammar(corpus.uwsgi(), tokens, _split_uwsgi, _uwsgi_pairs, _mend_uwsgi, (_more_variables,), longest=67_000)


# --- FastCGI ---


def _record(kind: int, content: bytes = b"", number: int = 1, padding: int = 0, version: int = 1) -> bytes:
    head = bytes((version, kind)) + number.to_bytes(2, "big") + len(content).to_bytes(2, "big")
    return head + bytes((padding, 0)) + content + bytes(padding)


def split_records(data: bytes) -> list[bytes]:
    out, at = [], 0
    while at < len(data):
        size = 8 + int.from_bytes(data[at + 4 : at + 6], "big") + int.from_bytes(data[at + 6 : at + 7], "big")
        out.append(data[at : at + size])
        at += size
    return out


def _record_lengths(data: bytes) -> list[Length]:
    """Content and padding of each record, its id, and the first lengths within PARAMS."""
    found, at = [], 0
    for piece in split_records(data)[:500]:
        if len(piece) >= 8:
            found += [Length(at + 4, 2, "big"), Length(at + 6, 1, "big"), Length(at + 2, 2, "big")]
        if len(piece) > 12 and piece[1] == 4:
            found += [Length(at + 8, 1, "big"), Length(at + 8, 4, "big"), Length(at + 9, 1, "big")]
        at += len(piece)
    return found


def _mend_records(data: bytes) -> bytes:
    """Each record tells the length that it has: only what is within them is wrong."""
    pieces = split_records(data)
    if pieces and len(pieces[-1]) >= 8:
        last = pieces[-1]
        content = len(last) - 8 - min(last[6], len(last) - 8)
        pieces[-1] = last[:4] + (content & 0xFFFF).to_bytes(2, "big") + bytes((min(last[6], len(last) - 8),)) + last[7:]
    return b"".join(pieces)


def _split_params(random: Random, data: bytes, grammar: Grammar) -> bytes:
    """One record's content as two, for a pair may lie across records (section 3.4)."""
    pieces = split_records(data)
    long = [place for place, one in enumerate(pieces) if len(one) > 9 and one[1] in (4, 5)]
    if not long:
        return data + random.choice(grammar.tokens)
    place = random.choice(long)
    one = pieces[place]
    kind, content = one[1], one[8 : 8 + 65535]
    cut = random.randrange(len(content))
    pieces[place : place + 1] = [_record(kind, content[:cut]), _record(kind, content[cut : cut + 65535])]
    return b"".join(pieces)


def _fastcgi_pair(name: bytes, value: bytes) -> bytes:
    sizes = (len(one).to_bytes(1, "big") if len(one) < 128 else (len(one) | 1 << 31).to_bytes(4, "big")
             for one in (name, value))  # fmt: skip
    return b"".join(sizes) + name + value


def fastcgi() -> Grammar:
    pairs = _variables(_fastcgi_pair)
    tokens = (
        *(_record(kind) for kind in range(13)),
        *(
            _record(1, bytes((0, role, flags)) + bytes(5), number)
            for role in (0, 1, 2)
            for flags in (0, 1, 255)
            for number in (0, 1, 2)
        ),
        *(_record(4, pair) for pair in pairs),
        _record(9, b"\x0e\0FCGI_MAX_CONNS\x0d\0FCGI_MAX_REQS\x0f\0FCGI_MPXS_CONNS", 0),
        *(_record(9, b"\x01", 0), _record(255, b"x", 0), _record(5, b"body" * 9), _record(5, b"x", 7, 255)),
        *(_record(8, b"data"), _record(2), _record(4, b"\x80\0\0\1\x80\0\0\1ab"), _record(4, b"\xff\xff\xff\xff\1ab")),
        *(_record(4, b"x" * 65535, 1, 255), _record(1, b"\0\1\0", 1, 0, 2), b"GET / HTTP/1.1\r\n"),
    )
    own: tuple[Fault, ...] = (_split_params, _more_variables)
    return Grammar(corpus.fastcgi(), tokens, split_records, _record_lengths, _mend_records, own, longest=140_000)


# --- HTTP ---

_HTTP = (b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\r\n ", b": ", b":", b" ", b"\t", b"\0", b"GET ", b"HEAD ", b"POST ",
         b"CONNECT ", b"OPTIONS * ", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0",
         b"HTTP/0.9", b"Host: a\r\n", b"Host: b\r\n", b"Content-Length: 4\r\n", b"Content-Length: 5\r\n",
         b"Content-Length: 4, 4\r\n", b"Content-Length: +4\r\n", b"Content-Length: -1\r\n",
         b"Content-Length: 18446744073709551616\r\n", b"Transfer-Encoding: chunked\r\n",
         b"Transfer-Encoding: gzip, chunked\r\n", b"Transfer-Encoding: identity\r\n",
         b"Transfer-Encoding : chunked\r\n",
         b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"Expect: 100-continue\r\n", b"Upgrade: h2c\r\n",
         b"Trailer: X\r\n", b"X_Y: z\r\n", b"Proxy: http://evil/\r\n", b"Content_Length: 9\r\n", b"Cookie: a\r\n",
         b"0\r\n\r\n", b"4\r\nbody\r\n", b"ffffffffffffffff\r\n", b"-1\r\n", b"0x4\r\n", b"4;a=b\r\nbody\r\n",
         b"http://h/", b"//h/", b"*", b"/%00", b"/%", b"/%zz", b"/..%2f", b"?", b"#", b"\x16\x03\x01\x02\0\x01",
         b"\x80", b"X: " + b"a" * 9000 + b"\r\n", b"X-Forwarded-For: 1\r\n",
         b"X-Forwarded-Host: h:80\r\n", b"X-Forwarded-Port: 81\r\n", b"X-Forwarded-Prefix: /x\r\n")  # fmt: skip


def http() -> Grammar:
    def split(data: bytes) -> list[bytes]:
        return data.splitlines(keepends=True)

    return Grammar(corpus.http(), _HTTP, split, own=(_more_variables,), longest=40_000)
