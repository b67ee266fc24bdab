# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# completion.bash: completion of sample-host's command line in bash.  `source` it, or install it as
# /usr/share/bash-completion/completions/sample-host, where bash-completion finds it.
#
# What there is to complete is asked of the program itself: commands and options of its --help, bottles of
# the manifest and of what runs.

# The options that take a value, which is no command.
_sample_host_valued=' --plugin --manifest --slug --backend --internal-network --egress-network --options --events --grace '

# _sample_host_bottles COMMAND...: COMMAND is the command line so far; --manifest counts.
_sample_host_bottles() {
    local program=$1 i
    local -a manifest=()
    case " $* " in
    *' status '* | *' swap '* | *' down '*)
        "$program" status 2>/dev/null | awk 'NR > 1 && /^[^ ]/ { print $1 }'
        return
        ;;
    esac
    for ((i = 1; i < $#; i++)); do
        [ "${!i}" != --manifest ] || manifest=(--manifest "${*:i+1:1}")
        # --manifest=FILE comes as three words.
        [ "${manifest[*]}" != '--manifest =' ] || manifest=(--manifest "${*:i+2:1}")
    done
    # The message about a bottle that there is not lists those that there are.
    "$program" plan '' "${manifest[@]}" 2>&1 | sed -n 's/.* has no bottle ""; it has: //p' | tr ',' ' '
}

_sample_host() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local program=${COMP_WORDS[0]} word command='' option=
    local -a before=("${COMP_WORDS[@]:1:COMP_CWORD-1}")
    COMPREPLY=()
    for word in "${before[@]}"; do
        [ "$word" != -- ] || {
            mapfile -t COMPREPLY < <(compgen -c -f -- "$current")
            return
        }
        if [[ $word == '=' ]]; then
            continue
        elif [[ $_sample_host_valued == *" $option "* ]]; then
            option=
        elif [[ $word == -* ]]; then
            option=$word
        else
            [ -n "$command" ] || command=$word
            option=
        fi
    done
    [[ $previous != '=' ]] || previous=${COMP_WORDS[COMP_CWORD - 2]}
    [[ $current != '=' ]] || {
        previous=${COMP_WORDS[COMP_CWORD - 1]}
        current=
    }
    case $previous in
    --plugin | --manifest | --events)
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    --backend)
        mapfile -t COMPREPLY < <(compgen -W "$("$program" plugins 2>/dev/null |
            awk 'NR > 1 { gsub(",", " ", $4); print $4 }')" -- "$current")
        return
        ;;
    --slug | --internal-network | --egress-network | --options | --grace) return ;;
    esac
    if [ -z "$command" ]; then
        mapfile -t COMPREPLY < <(compgen -W "--help $("$program" --help |
            sed -n 's/^  \([a-z][a-z]*\) .*/\1/p')" -- "$current")
    elif [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$("$program" "$command" --help |
            grep -o -- '--[a-z][a-z-]*')" -- "$current")
    else
        mapfile -t COMPREPLY < <(compgen -W "$(_sample_host_bottles "$program" "${before[@]}")" -- "$current")
    fi
}

complete -F _sample_host sample-host
