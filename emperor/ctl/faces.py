"""``emperorctl nginx``, ``apache``, ``lighttpd``: what the web server must be told of a vassal."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace

from emperor.control.messages import FAILED, NO_VASSAL, OK, USAGE
from emperor.ctl.console import Console
from emperor.ctl.specs import spec_of
from emperor.errors import EmperorError
from emperor.faces import apache, lighttpd, nginx
from emperor.faces.facts import Facts, gather
from emperor.faces.wish import Wish, check_wish, unheeded
from emperor.intake.reading import Settings, check_file
from emperor.model import VassalSpec
from emperor.system import places
from emperor.system.accounts import SystemAccounts

_RENDER = {"nginx": nginx.render, "apache": apache.render, "lighttpd": lighttpd.render}
_ASKS_DISK_FIRST = ("nginx",)

_EPILOG = """\
It goes to standard output, to be saved as it is; its first lines say where, and how to test and load it. What
you must know besides stands there as NOTE, and on standard error. Where the app is on the site (/, or below its
mounts) and all numbers come from the ini: print it anew after a change.

examples:
  emperorctl {verb} blog --server-name www.example.org     a site of its own
  emperorctl {verb} blog --prefix /blog                    a part of a site that is there already
  emperorctl {verb} ./blog.ini                             of a file, without an emperor

exit: 0 printed; 1 it cannot be; 2 usage; 4 not permitted; 6 no such vassal, or its ini is invalid; 7 no emperor
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG.format(verb=parser.prog.split()[-1])
    parser.add_argument("name", metavar="NAME", help="the vassal, or the path of an ini: FILE.ini")
    parser.add_argument("--prefix", default="", metavar="/P", help="where it is on a site that is there already")
    parser.add_argument("--server-name", default="", metavar="N", help="the site's host name; default: any")
    parser.add_argument("--listen", default="80", metavar="[IP:]PORT", help="where the site listens; default: 80")
    parser.add_argument(
        "--vassals-defaults",
        metavar="FILE",
        default="",
        help="with FILE.ini: the ini whose values every vassal inherits",
    )


def run(args: argparse.Namespace, console: Console) -> int:
    wish = Wish(args.prefix.rstrip("/"), args.server_name, args.listen)
    wrong = check_wish(wish)
    if wrong:
        console.error(wrong)
        return USAGE
    is_file = "/" in args.name or args.name.endswith(".ini")
    spec = _from_file(args, console) if is_file else spec_of(args.name, console)
    if isinstance(spec, int):
        return spec
    try:
        facts = gather(spec, wish, SystemAccounts().web_identity(None, None), args.verb in _ASKS_DISK_FIRST)
        facts = replace(facts, remarks=(*facts.remarks, *unheeded(args.verb, wish)))
        text = _RENDER[args.verb](facts)
    except EmperorError as error:
        console.error(f"{args.verb}: {error}")
        return FAILED
    return _tell(text, facts, console)


def _tell(text: str, facts: Facts, console: Console) -> int:
    if console.json:
        console.print_json({"name": facts.name, "text": text, "notes": list(facts.remarks)})
    else:
        console.write(text)
        for remark in facts.remarks:
            console.error(f"{facts.name}: note: {remark}")
    return OK


def _from_file(args: argparse.Namespace, console: Console) -> VassalSpec | int:
    defaults = os.path.abspath(args.vassals_defaults) if args.vassals_defaults else ""
    settings = Settings(defaults=defaults, runtime=places.beside(args.control_socket))
    checked = check_file(args.name, settings)
    if checked.spec is not None:
        return checked.spec
    for problem in checked.problems:
        if problem.fatal:
            console.error(str(problem))
    return NO_VASSAL
