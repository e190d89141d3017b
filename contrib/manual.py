"""Write the manual pages in contrib/man from the tables that the programs run by: ``make readme``."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

from contrib import manual_words as words
from contrib.roff import bold, header, italic, literal, page, paragraph, section, subsection, tagged, verbatim
from emperor import __version__
from emperor import cli as daemon
from emperor.config import daemon_options, options
from emperor.config.table.option import ALWAYS, DONE, INSTEAD, REFUSED, Option
from emperor.ctl import cli, teaching
from emperor.ctl.shape import Flag, Shape, shape
from emperor.system.places import SYSTEM_VASSALS

MAN = Path(__file__).resolve().parent / "man"

REVISED = "2026-11-22"
"""The day of the words, not of the build: two builds are one page."""


def pages() -> dict[str, str]:
    """File name -> text."""
    return {"emperor.8": emperor(), "emperorctl.1": emperorctl(), "emperor.ini.5": ini()}


# emperor(8) -------------------------------------------------------------------------------------------------------


def emperor() -> str:
    return page(
        header("emperor", 8, REVISED, __version__, "System Administration"),
        section("NAME", [r"emperor \- serve WSGI apps, one for each ini of a folder"]),
        section("SYNOPSIS", _synopsis("emperor", "[OPTIONS] [VASSALS_DIR ...]", "[OPTIONS] FILE.ini")),
        _more_synopsis("emperor run", "FILE.ini [OPTIONS]", "-s SOCKET --wsgi-file FILE [OPTIONS]"),
        section(
            "DESCRIPTION",
            paragraph(
                "The emperor watches folders of inis. Each ini, NAME.ini, is a vassal: an app that is served by "
                "processes of its own, as its own user, over a socket that a web server connects to in uwsgi, FastCGI "
                "or HTTP. What dies is started again; what is changed is reloaded, and the old code serves until the "
                "new code does. An ini that is removed takes its vassal with it."
            ),
            paragraph(
                "It stays in the foreground, for a service manager. `emperor run` serves one app in the foreground, "
                "without a daemon. What an ini may say is in `emperor.ini`(5); how the vassals are, and why one does "
                "not serve, `emperorctl`(1) tells."
            ),
        ),
        section(
            "OPTIONS",
            *(subsection(_sentence(title), *map(_daemon_option, rows)) for title, rows in daemon_options.GROUPS),
        ),
        subsection(
            "Accepted from command lines of uWSGI's Emperor",
            paragraph(
                f"{_names(_OLD)}. They have no effect; a warning says what does it, where it is not so in any case."
            ),
        ),
        subsection(
            "Refused",
            paragraph(f"{_names(_REFUSED)}. Without them something else would run than what was asked for."),
        ),
        section(
            "RUN",
            paragraph(
                "`emperor run` takes the options of an ini with two dashes before them, as uWSGI does: `--name VALUE` "
                "or `--name=VALUE`, and uWSGI's letters. It is root's app that runs as the web server's user, unless "
                "`--uid` names another one or `--allow-root` is given. Started by a web server with its listening "
                "socket as descriptor 0, it serves FastCGI there, in one process."
            ),
        ),
        section("EXIT STATUS", *(tagged(bold(code), paragraph(text)) for code, text in words.DAEMON_EXITS)),
        section("SIGNALS", *(tagged(bold(name), paragraph(text)) for name, text in words.SIGNALS)),
        section("FILES", *_files(words.FILES)),
        section("ENVIRONMENT", *_files(words.DAEMON_ENVIRONMENT)),
        section("EXAMPLES", verbatim(_after(daemon.REST, "examples:"))),
        _see_also("emperorctl(1)", "emperor.ini(5)", "systemd.service(5)", "nginx(8)"),
    )


_OLD = [one for one in daemon_options.OLD if one.standing != REFUSED]
_REFUSED = [one for one in daemon_options.OLD if one.standing == REFUSED]


def _daemon_option(option: Option) -> Iterator[str]:
    value = "" if option.kind.bare else f" {italic(option.kind.text)}"
    names = [f"--{name}" for name in (option.name, *option.aliases)]
    letters = [f"-{option.short}"] if option.short else []
    tag = ", ".join(bold(name) + value for name in (*letters, *names))
    return tagged(tag, paragraph(option.help + (" May be repeated." if option.many else "")))


# emperorctl(1) ----------------------------------------------------------------------------------------------------


def emperorctl() -> str:
    return page(
        header("emperorctl", 1, REVISED, __version__, "User Commands"),
        section("NAME", [r"emperorctl \- ask the emperor how its vassals are, and order them about"]),
        section("SYNOPSIS", _synopsis("emperorctl", "[OPTIONS] VERB [ARGUMENTS]")),
        section(
            "DESCRIPTION",
            paragraph(
                "emperorctl speaks to a running `emperor`(8) over its control socket, or looks at inis without one. "
                "Root, members of the emperor's `--control-group` and the emperor's own user may do everything; "
                "everybody else sees and orders their own vassals."
            ),
            paragraph(
                "When visitors get an error: `emperorctl status` says which vassal is not well, `emperorctl doctor "
                "NAME` says which link between the web server and the app is broken and what mends it, `emperorctl "
                "logs NAME` has the traceback, and `emperorctl request NAME` shows what the web server gets."
            ),
        ),
        section("OPTIONS", paragraph("These may stand before the verb and after it."), *map(_flag, _common().flags)),
        section("VERBS", *(subsection(_sentence(title), *map(_verb, entries)) for title, entries in cli.GROUPS)),
        section(
            "EXIT STATUS", *(tagged(bold(str(code)), paragraph(_sentence(text) + ".")) for code, text in teaching.EXITS)
        ),
        section("FILES", *_files({name: text for name, text in words.FILES.items() if name != daemon.CONFIG})),
        section("ENVIRONMENT", *_files(words.ENVIRONMENT)),
        section("EXAMPLES", *(_example(command, text) for command, text in teaching.EXAMPLES)),
        _see_also("emperor(8)", "emperor.ini(5)", "journalctl(1)"),
    )


def _common() -> Shape:
    """What every verb takes: all that a verb without arguments of its own has."""
    return shape(cli.verb_parser("version"))


def _verb(name: str) -> Iterator[str]:
    parser = cli.verb_parser(name)
    one = shape(parser)
    own = [flag for flag in one.flags if flag not in _common().flags]
    places = [place for place in one.places]
    usage = [bold(name), *(_bracketed(flag) for flag in own if len(own) <= _MOST_SHOWN)]
    usage += [] if len(own) <= _MOST_SHOWN else [f"[{italic('OPTIONS')}]"]
    for place in places:
        text = italic(place.value) + (" ..." if place.many else "")
        usage.append(text if place.needed else f"[{text}]")
    yield from tagged(" ".join(usage), paragraph(_sentence(cli.VERBS[name].summary) + "."))
    told = [tagged(italic(place.value), paragraph(_sentence(place.help) + ".")) for place in places if place.help]
    told += [_flag(flag) for flag in own]
    if told or parser.epilog:
        yield ".RS"
        for lines in told:
            yield from lines
        yield from _epilog(parser)
        yield ".RE"


_MOST_SHOWN = 7
"""Options in a usage line."""


def _epilog(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Prose is filled; a block with lines that are indented is kept as it is."""
    for block in filter(None, (parser.epilog or "").strip("\n").split("\n\n")):
        yield ".PP"
        yield from verbatim(block) if "\n  " in block else paragraph(_sentence(block))


def _bracketed(flag: Flag) -> str:
    return f"[{bold(flag.spellings[0])}{_value(flag)}]"


def _value(flag: Flag) -> str:
    return f" {italic(flag.value)}" if flag.value else ""


def _flag(flag: Flag) -> Iterator[str]:
    tag = ", ".join(bold(one) + _value(flag) for one in flag.spellings)
    words = [_ended(flag.help)] if flag.help else []
    emperors = daemon_options.find(flag.spellings[-1].lstrip("-"))
    if flag.many and (emperors is None or emperors.many):
        words.append("May be repeated.")
    return tagged(tag, paragraph(" ".join(words)))


def _example(command: str, text: str) -> Iterator[str]:
    return tagged(
        bold(f"emperorctl {command}"), paragraph(_sentence(text) + ("" if text.endswith((")", "?")) else "."))
    )


# emperor.ini(5) ---------------------------------------------------------------------------------------------------


def ini() -> str:
    return page(
        header("emperor.ini", 5, REVISED, __version__, "File Formats"),
        section("NAME", [r"emperor.ini \- what a vassal of emperor(8) is"]),
        section("SYNOPSIS", verbatim(words.INI)),
        section("DESCRIPTION", *map(paragraph, words.GRAMMAR)),
        section("OPTIONS", paragraph("Where a default is named, it counts for an ini that does not say otherwise.")),
        *(subsection(title, *map(_ini_option, rows)) for title, rows in options.PARTS),
        section("OPTIONS OF UWSGI", paragraph(words.UWSGI)),
        *(subsection(title, *_sentences(standing)) for standing, title in _STANDINGS),
        section("FILES", *_files({SYSTEM_VASSALS: words.FILES[SYSTEM_VASSALS]})),
        section("EXAMPLES", paragraph("Under a sub-path of a site, over FastCGI:"), verbatim(words.SUBPATH)),
        _see_also("emperor(8)", "emperorctl(1)"),
    )


_STANDINGS = (
    (ALWAYS, "Accepted, because it is always so"),
    (INSTEAD, "Without effect, and what does it"),
    (REFUSED, "Refused"),
)


def _ini_option(option: Option) -> Iterator[str]:
    if option.standing != DONE:
        return
    also = [bold(name) for name in option.aliases]
    tag = f"{bold(option.name)} = {italic(option.kind.text)}"
    text = _ended(option.help)
    text += f" Default: {option.default}." if option.default else ""
    text += " May be repeated." if option.many else ""
    yield from tagged(tag, [*paragraph(text), *(_wrapped("Also " + ", ".join(also) + ".") if also else [])])


def _sentences(standing: str) -> Iterator[Iterator[str]]:
    rows = [one for one in options.TABLE if one.standing == standing]
    for sentence in dict.fromkeys(one.help for one in rows):
        names = ", ".join(bold(one.name) for one in rows if one.help == sentence)
        yield iter([*_wrapped(names + ":"), *paragraph(_ended(sentence))])


# What they share --------------------------------------------------------------------------------------------------


def _synopsis(command: str, *rests: str) -> list[str]:
    lines: list[str] = []
    for rest in rests:
        lines += [".br"] if lines else []
        lines.append(f"{bold(command)} {literal(rest)}")
    return lines


def _more_synopsis(command: str, *rests: str) -> list[str]:
    return [".br", *_synopsis(command, *rests)]


def _files(rows: dict[str, str]) -> Iterator[Iterator[str]]:
    return (tagged(", ".join(italic(one) for one in name.split(", ")), paragraph(text)) for name, text in rows.items())


def _see_also(*names: str) -> Iterator[str]:
    shown = [f"{bold(name.partition('(')[0])}({name.partition('(')[2]}" for name in names]
    return section("SEE ALSO", [", ".join(shown)])


def _names(rows: Iterable[Option]) -> str:
    return ", ".join(f"`--{one.name}`" for one in rows)


def _after(text: str, title: str) -> str:
    """The block below a title of a help text."""
    return text.partition(f"{title}\n")[2].partition("\n\n")[0]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _ended(text: str) -> str:
    return _sentence(text).rstrip(".") + "."


def _wrapped(marked: str) -> list[str]:
    lines: list[str] = [""]
    for word in marked.split(" "):
        if len(lines[-1]) + len(word) >= 76:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
    return lines


def main() -> None:
    MAN.mkdir(exist_ok=True)
    for name, text in pages().items():
        (MAN / name).write_text(text, encoding="ascii")


if __name__ == "__main__":
    main()
