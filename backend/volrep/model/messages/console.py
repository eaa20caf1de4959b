"""Messages: console."""

from volrep.model.errors import Exit, Message

BAD_STANZA = Message(1800, "{file}:{line}: {problem}", "correct the stanza; docs/console.md describes every key",
                     Exit.USAGE)
STANZA_CLASH = Message(1801, "{file}: {kind} {id} is also in {other}",
                       "ids and aliases are one name space; only a later directory may replace a stanza", Exit.USAGE)
STANZA_TARGET = Message(1802, "{file}: {kind} {id} names {target}, and there is no such {wanted}",
                        "define {target}, or correct the name", Exit.USAGE)
NO_SCREEN = Message(1810, "{fastpath!r} is not a fast path",
                    "closest: {closest}; Ctrl+P in the console finds any screen", Exit.USAGE)
FIELD_EMPTY = Message(1820, "{field} must have a value", "type a value{how}", Exit.USAGE)
FIELD_NUMBER = Message(1821, "{value!r} in {field} is not a number", "digits only, a sign may stand first", Exit.USAGE)
FIELD_PATTERN = Message(1822, "{value!r} is not valid for {field}", "{rule}", Exit.USAGE)
FIELD_CHOICE = Message(1823, "{value!r} is not a choice of {field}", "choices: {choices}", Exit.USAGE)
FIELD_PATH = Message(1824, "{value!r} in {field} is not an absolute path", "start it with /", Exit.USAGE)
LIST_EMPTY = Message(1830, "{reason}", "F2 asks again", Exit.REFUSED)
LIST_FAILED = Message(1831, "the values could not be asked for: {problem}",
                      "F2 asks again; the command was: {command}")
NOT_JSON = Message(1832, "{command} did not answer with JSON", "run it in a shell (F9) to see what it prints")
TOO_SLOW = Message(1833, "{command} did not answer within {timeout_s} seconds",
                   "F2 asks again; `host check` shows which host does not answer")
ITEM_DIMMED = Message(1834, "{item}: not now, because {reason}", "F2 asks again", Exit.REFUSED)
NO_HELP = Message(1840, "there is no help text for this item", "F1 again explains the keys")
NO_PROGRAM = Message(1841, "{program} cannot be run: {problem}", "F9 opens a shell")
NO_TERMINAL = Message(1842, "the console needs a terminal", "use --plain, or run the command that you want directly",
                      Exit.USAGE)
NO_TEXTUAL = Message(1843, "the console is not installed here: {problem}",
                     "install volrep[tui], or use --plain")
