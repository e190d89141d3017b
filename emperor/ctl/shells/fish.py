"""The words as a script for fish, 3.1 or later. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from emperor.ctl.shells.offer import FILES, NOTHING, Option, Verb, Wanted, before

_HEAD = r"""# fish completion for emperorctl, written by `emperorctl completion fish`.

function __emperorctl_words
    # The verb, and the words behind it that are no options; first of all the control socket, or an empty line.
    set -l given (commandline -opc)
    set -l socket ''
    set -l found
    set -l expected ''
    for word in $given[2..-1]
        set -l verb .
        test (count $found) -gt 0; and set verb $found[1]
        if test -n "$expected"
            test "$expected" = --control-socket; and set socket $word
            set expected ''
        else if string match -q -- '--control-socket=*' $word
            set socket (string replace -- '--control-socket=' '' $word)
        else if string match -q -- '-*' $word
            contains -- "$verb $word" $__emperorctl_valued; and set expected $word
        else
            set -a found $word
        end
    end
    printf '%s\n' "$socket" $found
end

function __emperorctl_at --argument-names verb place last
    set -l words (__emperorctl_words)
    set -e words[1]
    if test "$verb" = .
        test (count $words) -eq 0
        return
    end
    test (count $words) -gt 0 -a "$words[1]" = "$verb"; or return
    test -z "$place"; and return
    set -l number (math (count $words) - 1)
    test $number -eq $place; or test -n "$last" -a $number -ge "$place"
end

function __emperorctl_names
    set -l socket (__emperorctl_words)[1]
    set -l at
    test -n "$socket"; and set at --control-socket $socket
    command emperorctl $at completion --names 2>/dev/null
end

complete -c emperorctl -e
complete -c emperorctl -f
"""

_WANTED: Mapping[str, str] = MappingProxyType(
    {
        "nothing": "",
        "files": " -F",
        "folders": " -a '(__fish_complete_directories)'",
        "users": " -a '(__fish_complete_users)'",
        "groups": " -a '(__fish_complete_groups)'",
        "names": " -a '(__emperorctl_names)'",
        "targets": " -a '(__emperorctl_names) all'",
        "either": " -a '(__emperorctl_names)' -F",
    }
)


def script(verbs: tuple[Verb, ...]) -> str:
    valued = [f". {one}" for option in before(verbs) if option.valued for one in option.spellings]
    lines = []
    for verb in verbs:
        lines.append(f"complete -c emperorctl -n '__emperorctl_at .' -a {verb.name} -d {_quoted(verb.summary)}")
    lines += [_option(".", one) for one in before(verbs)]
    for verb in verbs:
        valued += [f"{verb.name} {one}" for option in verb.options if option.valued for one in option.spellings]
        lines += [_option(verb.name, one) for one in verb.options]
        lines += _places(verb)
    table = "set -g __emperorctl_valued " + " ".join(_quoted(one) for one in valued)
    return "\n".join((_HEAD.rstrip("\n"), table, "", *lines)) + "\n"


def _option(verb: str, option: Option) -> str:
    names = " ".join(f"-l {one[2:]}" if one.startswith("--") else f"-s {one[1:]}" for one in option.spellings)
    value = ""
    if option.valued:
        files = option.wanted == FILES
        value = " -r" + _wanted(option.wanted) if files else " -x" + _wanted(option.wanted)
    return f"complete -c emperorctl -n '__emperorctl_at {verb}' {names}{value} -d {_quoted(option.help)}"


def _places(verb: Verb) -> Iterator[str]:
    for number, wanted in enumerate(verb.places):
        last = " last" if verb.repeats and number == len(verb.places) - 1 else ""
        if wanted != NOTHING:
            condition = f"__emperorctl_at {verb.name} {number}{last}"
            yield f"complete -c emperorctl -n '{condition}'{_wanted(wanted)}"


def _wanted(wanted: Wanted) -> str:
    return f" -a {_quoted(' '.join(wanted.words))}" if wanted.words else _WANTED[wanted.source]


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
