"""The words as a script for bash, 4.3 or later, with or without the package bash-completion. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from emperor.ctl.shells.offer import Option, Verb, Wanted, before, words

_SCRIPT = r"""
_emperorctl_names() {
    command emperorctl ${1:+--control-socket "$1"} completion --names 2>/dev/null
}

_emperorctl() {
    local line=${COMP_LINE:0:COMP_POINT} current='' verb=. expected='' socket='' wanted=nothing word head
    local -i count=0
    local -a given=() places=() choices=()
    # Not COMP_WORDS: that is cut at "@" and ":", too.
    read -ra given <<<"$line"
    if [[ $line != *[[:space:]] ]]; then
        current=${given[${#given[@]} - 1]}
        given=("${given[@]:0:${#given[@]} - 1}")
    fi
    for word in "${given[@]:1}"; do
        if [[ -n $expected ]]; then
            [[ $expected == --control-socket ]] && socket=$word
            expected=''
        elif [[ $word == --control-socket=* ]]; then
            socket=${word#*=}
        elif [[ $word == -* ]]; then
            [[ -n ${_emperorctl_values[$verb $word]} ]] && expected=$word
        elif [[ $verb == . ]]; then
            verb=$word
        else
            count+=1
        fi
    done
    if [[ -n $expected ]]; then
        wanted=${_emperorctl_values[$verb $expected]}
    elif [[ $current == --*=* ]]; then
        wanted=${_emperorctl_values[$verb ${current%%=*}]}
        current=${current#*=}
    elif [[ $current == -* ]]; then
        wanted="words ${_emperorctl_options[$verb]}"
    else
        IFS='|' read -ra places <<<"${_emperorctl_places[$verb]}"
        wanted=${places[count]:-${_emperorctl_repeats[$verb]}}
    fi
    case $wanted in
        words*) read -ra choices <<<"${wanted#words}" ;;
        names | targets | either) mapfile -t choices < <(_emperorctl_names "$socket") ;;
        users) mapfile -t choices < <(compgen -u) ;;
        groups) mapfile -t choices < <(compgen -g) ;;
    esac
    case $wanted in
        targets) choices+=(all) ;;
        files | either) compopt -o default ;;
        folders) compopt -o dirnames ;;
    esac
    # readline replaces only what stands behind the last of these.
    head=${current%"${current##*["$COMP_WORDBREAKS"]}"}
    head=${head%@} # and "@" itself
    COMPREPLY=()
    for word in "${choices[@]}"; do
        [[ $word == "$current"* ]] && COMPREPLY+=("${word:${#head}}")
    done
}

complete -F _emperorctl emperorctl
"""


def script(verbs: tuple[Verb, ...]) -> str:
    options = {".": " ".join(_spellings(before(verbs)))}
    values = {f". {one}": wanted for one, wanted in _values(before(verbs))}
    places, repeats = {".": _wanted(words(*(verb.name for verb in verbs)))}, {}
    for verb in verbs:
        options[verb.name] = " ".join(_spellings(verb.options))
        values.update({f"{verb.name} {one}": wanted for one, wanted in _values(verb.options)})
        places[verb.name] = "|".join(_wanted(one) for one in verb.places)
        if verb.repeats:
            repeats[verb.name] = _wanted(verb.places[-1])
    tables = {"options": options, "values": values, "places": places, "repeats": repeats}
    lines = ["# bash completion for emperorctl, written by `emperorctl completion bash`.", ""]
    for name, table in tables.items():
        lines += [f"declare -gA _emperorctl_{name}=(", *(f"    ['{key}']='{text}'" for key, text in table.items()), ")"]
    return "\n".join(lines) + "\n" + _SCRIPT


def _values(options: Iterable[Option]) -> Iterator[tuple[str, str]]:
    return ((one, _wanted(option.wanted)) for option in options if option.valued for one in option.spellings)


def _wanted(wanted: Wanted) -> str:
    return " ".join((wanted.source, *wanted.words))


def _spellings(options: Iterable[Option]) -> Iterator[str]:
    return (one for option in options for one in option.spellings)
