"""The words as a function for zsh's completion system (zshcompsys(1)). Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from emperor.ctl.shells.offer import Option, Verb, Wanted, before

_HEAD = r"""#compdef emperorctl
# zsh completion for emperorctl, written by `emperorctl completion zsh`.

_emperorctl_names() {
    local -a names at
    local socket=${opt_args[--control-socket]:-$_emperorctl_socket}
    [[ -n $socket ]] && at=(--control-socket ${(Q)socket})
    names=(${(f)"$(command emperorctl $at completion --names 2>/dev/null)"} $@)
    compadd -a names
}

_emperorctl_either() {
    _emperorctl_names
    _files
}
"""

_TAIL = r"""
if [[ ${funcstack[1]} == _emperorctl ]]; then
    _emperorctl "$@"
else
    compdef _emperorctl emperorctl
fi
"""

_ACTIONS: Mapping[str, str] = MappingProxyType(
    {
        "nothing": " ",
        "files": "_files",
        "folders": "_files -/",
        "users": "_users",
        "groups": "_groups",
        "names": "_emperorctl_names",
        "targets": "_emperorctl_names all",
        "either": "_emperorctl_either",
    }
)


def script(verbs: tuple[Verb, ...]) -> str:
    lines = [_HEAD, "_emperorctl() {"]
    lines += [
        "    local curcontext=$curcontext state line _emperorctl_socket ret=1",
        "    local -A opt_args",
        "    local -a verbs",
    ]
    lines += ["    verbs=(", *(f"        {_quoted(f'{verb.name}:{verb.summary}')}" for verb in verbs), "    )"]
    first = [f"        {_option(one)} \\" for one in before(verbs)]
    lines += ["    _arguments -C -s -S -A '-*' \\", *first, "        '1:verb:->verb' '*:: :->rest' && ret=0"]
    lines += ["    _emperorctl_socket=${opt_args[--control-socket]}", "    case $state in"]
    lines += [
        "        verb) _describe -t verbs verb verbs && ret=0 ;;",
        "        rest)",
        "            case $words[1] in",
    ]
    for verb in verbs:
        lines += [f"                {verb.name})", "                    _arguments -s -S \\"]
        specs = [*map(_option, verb.options), *_places(verb)]
        lines += [f"                        {one} \\" for one in specs]
        lines += ["                        && ret=0", "                    ;;"]
    lines += ["            esac", "            ;;", "    esac", "    return ret", "}"]
    return "\n".join(lines) + "\n" + _TAIL


def _option(option: Option) -> str:
    told = f"[{_text(option.help)}]"
    value = f":{option.spellings[-1].lstrip('-')}:{_action(option.wanted)}" if option.valued else ""
    spellings = [f"{one}{_joined(one)}" if option.valued else one for one in option.spellings]
    if len(spellings) == 1:
        return _quoted(spellings[0] + told + value)
    excluded = _quoted(f"({' '.join(option.spellings)})")
    return f"{excluded}{{{','.join(spellings)}}}{_quoted(told + value)}"


def _joined(spelling: str) -> str:
    """The value is the next word, or follows a long one behind "=" and a short one at once."""
    return "=" if spelling.startswith("--") else "+"


def _places(verb: Verb) -> Iterator[str]:
    for number, wanted in enumerate(verb.places, 1):
        if number < len(verb.places) or not verb.repeats:
            yield _quoted(f"{number}:word:{_action(wanted)}")
        else:
            yield _quoted(f"*:word:{_action(wanted)}")


def _action(wanted: Wanted) -> str:
    return f"({' '.join(wanted.words)})" if wanted.words else _ACTIONS[wanted.source]


def _text(text: str) -> str:
    for special in "\\[]:":
        text = text.replace(special, "\\" + special)
    return text


def _quoted(text: str) -> str:
    """For zsh and bash: nothing within is special."""
    return "'" + text.replace("'", "'\\''") + "'"
