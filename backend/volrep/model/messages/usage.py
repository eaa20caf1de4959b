"""Messages: usage."""

from volrep.model.errors import Exit, Message

UNKNOWN_VERB = Message(1000, "{verb} is not a verb", "closest: {closest}; `volrep help` lists all verbs",
                       Exit.USAGE)
USAGE = Message(1001, "{problem}", "usage: {usage}", Exit.USAGE)
BAD_SIZE = Message(1010, "{value!r} is not a size", "write a number with k, m, g or t, for example 10g",
                   Exit.USAGE)
BAD_NAME = Message(1011, "{value!r} is not a valid {kind} name",
                   "1 to {limit} characters: letters, digits, '_', '-', '.', starting with a letter or digit",
                   Exit.USAGE)
UNKNOWN_ATTRIBUTE = Message(1020, "{name} is not an attribute of a link", "attributes: {known}", Exit.USAGE)
ATTRIBUTE_NOT_YET = Message(1021, "attribute {name} is not available in this version",
                            "available now: {available}", Exit.USAGE)
BAD_ATTRIBUTE = Message(1022, "{value!r} is not a value of {name}", "values: {allowed}", Exit.USAGE)
