"""How bash, zsh and fish ask for completions, and get them.

Each shell's script sends the line up to the cursor and reads lines of kind, value and description, parted by tabs.
Kinds: ``plain``; ``open``, a value that goes on, after which no space belongs (``flights:``); ``file`` and ``dir``,
which the shell completes itself. click's own scripts are not used: in bash they lose a word at each ``:`` and ``@``, of
which references are made, and in fish they end a value at its first comma.
"""

from __future__ import annotations

import os
import re
from typing import Any, Final

from click.shell_completion import CompletionItem, ShellComplete, add_completion_class, split_arg_string

__all__ = ["SHELLS", "teach_shells"]

_BASH: Final = r"""
%(complete_func)s() {
    local kind value
    COMPREPLY=()
    while IFS=$'\t' read -r kind value; do
        case $kind in
            dir) compopt -o dirnames 2>/dev/null ;;
            file) compopt -o default 2>/dev/null ;;
            open) compopt -o nospace 2>/dev/null; COMPREPLY+=("$value") ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done < <(COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_BREAKS="$COMP_WORDBREAKS" %(complete_var)s=bash_complete \
        "$1" 2>/dev/null)
}
complete -o nosort -F %(complete_func)s %(prog_name)s 2>/dev/null || complete -F %(complete_func)s %(prog_name)s
"""
_ZSH: Final = r"""
#compdef %(prog_name)s
%(complete_func)s() {
    local line
    local -a parts plain plain_shown open open_shown
    for line in "${(@f)$(COMP_LINE="${(j: :)words[1,CURRENT-1]} $QIPREFIX$PREFIX" %(complete_var)s=zsh_complete \
        %(prog_name)s 2>/dev/null)}"; do
        parts=("${(@ps:\t:)line}")
        case $parts[1] in
            dir) _path_files -/ ;;
            file) _path_files ;;
            open) open+=("$parts[2]"); open_shown+=("$parts[2]${parts[3]:+  -- $parts[3]}") ;;
            plain) plain+=("$parts[2]"); plain_shown+=("$parts[2]${parts[3]:+  -- $parts[3]}") ;;
        esac
    done
    (( $#open )) && compadd -U -S '' -V open -l -d open_shown -a open
    (( $#plain )) && compadd -U -V plain -l -d plain_shown -a plain
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
    compdef %(complete_func)s %(prog_name)s
fi
"""
_FISH: Final = r"""
function %(complete_func)s
    for line in (COMP_LINE=(commandline -cp | string collect) %(complete_var)s=fish_complete %(prog_name)s 2>/dev/null)
        set -l parts (string split -m 1 \t -- $line)
        switch $parts[1]
            case dir
                __fish_complete_directories (commandline -ct)
            case file
                __fish_complete_path (commandline -ct)
            case '*'
                echo $parts[2]
        end
    end
end
complete --no-files --keep-order --command %(prog_name)s --arguments "(%(complete_func)s)"
"""
_PREFIXES: Final = "$@"
"""Of the characters that break words, those that readline takes for the beginning of the next one."""
_SPECIAL: Final = re.compile(r"([^\w@%+=:,./~-])")


def _escaped(word: str) -> str:
    """Return a word as bash takes it without quotes."""
    return _SPECIAL.sub(r"\\\1", word)


class _Shell(ShellComplete):
    """Completes the last word of the line in COMP_LINE."""

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ.get("COMP_LINE", "")
        words = split_arg_string(line)[1:]
        ended = line[-1:].isspace() and not line.endswith("\\ ")
        return (words, "") if ended or not words else (words[:-1], words[-1])

    def format_completion(self, item: CompletionItem[str]) -> str:
        described = f"\t{' '.join(item.help.split())}" if item.help else ""
        return f"{item.type}\t{self.whole(item)}{described}"

    def whole(self, item: CompletionItem[str]) -> str:
        """Return the word, with the option that is written before its value: ``--folio=flights``."""
        option, equals, _ = self.get_completion_args()[1].partition("=")
        return f"{option}={item.value}" if equals and option.startswith("--") else item.value


class _Bash(_Shell):
    """For bash, which replaces what stands behind the last of the characters that break words, and quotes nothing."""

    name = "bash"
    source_template = _BASH

    def format_completion(self, item: CompletionItem[str]) -> str:
        line, value = os.environ.get("COMP_LINE", ""), self.whole(item)
        begun = self.get_completion_args()[1]
        if not line.endswith(_escaped(begun)):
            return f"{item.type}\t{value}"  # inside of quotes, where the whole is replaced
        breaks = (one for one in os.environ.get("COMP_BREAKS", "") if one in begun and not one.isspace())
        rest = value[max((begun.rfind(one) + (one not in _PREFIXES) for one in breaks), default=0) :]
        return f"{item.type}\t{_escaped(rest)}"


class _Zsh(_Shell):
    """For zsh."""

    name = "zsh"
    source_template = _ZSH


class _Fish(_Shell):
    """For fish."""

    name = "fish"
    source_template = _FISH


SHELLS: Final[dict[str, Any]] = {"bash": _Bash, "zsh": _Zsh, "fish": _Fish}


def teach_shells() -> None:
    """Let click answer the shells that run these scripts."""
    for shell in SHELLS.values():
        add_completion_class(shell)
