"""Completion in bash, where `=` ends a word: attribute=value arrives in three parts and is answered in one.

Knows Click's completion classes and what bash hands them. zsh and fish need nothing beyond Click.
"""

from __future__ import annotations

from click.shell_completion import BashComplete, CompletionItem, add_completion_class

_SCRIPT = """\
%(complete_func)s() {
    local IFS=$'\\n' response completion
    response=$(env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD %(complete_var)s=bash_complete $1)
    COMPREPLY=()
    for completion in $response; do
        COMPREPLY+=("${completion#*,}")
    done
    [[ ${#COMPREPLY[@]} -ge 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
    return 0
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class VolrepBash(BashComplete):
    """Words split at `=` are joined again; of the answer bash inserts only what stands behind it."""

    name = "bash"
    source_template = _SCRIPT
    _given = ""  # what bash keeps in front of the answer

    def get_completion_args(self) -> tuple[list[str], str]:
        args, incomplete = super().get_completion_args()
        joined = join_assignments([*args, incomplete])
        self._given = joined[-1][:len(joined[-1]) - len(incomplete.lstrip("="))] if "=" in joined[-1] else ""
        return joined[:-1], joined[-1]

    def format_completion(self, item: CompletionItem) -> str:
        return f"{item.type},{item.value.removeprefix(self._given)}"


def join_assignments(words: list[str]) -> list[str]:
    """["set", "rv", "sync_ack", "=", "da"] -> ["set", "rv", "sync_ack=da"]"""
    joined: list[str] = []
    for word in words:
        if joined and (word == "=" or (joined[-1].endswith("=") and not word.startswith("-"))):
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def register() -> None:
    """Make Click use it for bash."""
    add_completion_class(VolrepBash)
