"""The front door's own pages. Text in, HTML out: everything is escaped, nothing is loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from urllib.parse import quote

from emperor.frontdoor.routing import Table, Vassal

HEADERS = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),
    ("X-Content-Type-Options", "nosniff"),
)

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:3rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}td,th{text-align:left;padding:.2rem 1.5rem .2rem 0}"
    "code{background:#8882;padding:.1rem .3rem;border-radius:.2rem}"
)
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{style}</style></head>
<body><h1>{title}</h1>
{body}
</body></html>
"""


def listing(table: Table) -> bytes:
    """The page at ``/``: every vassal with its state and where to find it."""
    if not table.vassals:
        return _page("Vassals", "<p>None yet: put an ini into the emperor's folder.</p>")
    rows = "\n".join(_row(vassal) for vassal in table.vassals)
    head = "<tr><th>vassal</th><th>state</th><th>protocol</th><th>socket</th></tr>"
    return _page("Vassals", f"<table>\n{head}\n{rows}\n</table>")


def not_found(path: str) -> bytes:
    return _page(
        "404 Not Found",
        f'<p>No vassal answers at {_code(_text(path))}. <a href="/">These are there.</a></p>',
    )


def bad_gateway(status: str, vassal: Vassal, state: str, reason: str) -> bytes:
    """Why ``vassal`` did not answer, and what to type to learn more."""
    return _page(
        status,
        f"<p>Vassal {_code(vassal.name)} did not answer: {escape(reason)}.</p>\n"
        f"<p>Its state is <strong>{escape(state)}</strong>, its socket {_code(vassal.address)}.</p>\n"
        f"<p>Type {_code(f'emperorctl status {vassal.name}')} to see why.</p>",
    )


def refusal(status: str, reason: str) -> bytes:
    """The request itself cannot be passed on."""
    return _page(status, f"<p>{escape(reason)}</p>")


def moved(path: str) -> bytes:
    return _page("Moved", f"<p>It is at {_link(path)}.</p>")


def _row(vassal: Vassal) -> str:
    cells = (
        f"{escape(vassal.name)} {' '.join(map(_link, vassal.doors))}",
        escape(vassal.state),
        escape(vassal.protocol),
        _code(vassal.address),
    )
    return _join("<tr>", (f"<td>{cell}</td>" for cell in cells), "</tr>")


def _join(start: str, parts: Iterable[str], end: str) -> str:
    return start + "".join(parts) + end


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _link(path: str) -> str:
    return f'<a href="{escape(quote(path))}">{escape(path)}</a>'


def _text(latin: str) -> str:
    """A CGI variable is bytes in latin-1's clothes (PEP 3333, 'Unicode Issues'); people write UTF-8."""
    return latin.encode("latin-1", "replace").decode("utf-8", "replace")


def _page(title: str, body: str) -> bytes:
    return _PAGE.format(title=escape(title), style=_STYLE, body=body).encode()
