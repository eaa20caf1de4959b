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
NO_DG = Message(1012, "{verb} needs a disk group", "name it with -g; disk groups here: {known}", Exit.USAGE)
NO_HOST = Message(1013, "{verb} needs to know on which host", "name it with -H; hosts: {known}", Exit.USAGE)
BAD_ASSIGNMENT = Message(1014, "{value!r} is not attribute=value", "attributes of {verb}: {known}", Exit.USAGE)
UNKNOWN_KEY = Message(1015, "{name} is not an attribute of {verb}", "attributes of {verb}: {known}", Exit.USAGE)
NO_METHOD = Message(1016, "startrep needs to know how the Secondary becomes equal",
                    "-a copies everything while applications run, -b says both sides are blank, "
                    "-f says they are identical already", Exit.USAGE)
CHECKPOINT_NOT_YET = Message(1017, "starting from a checkpoint is not available in this version",
                             "use -a, -b or -f", Exit.USAGE)
BAD_NUMBER = Message(1018, "{value!r} is not a number for {name}", "write digits only", Exit.USAGE)
NO_CONFIRMATION = Message(1030, "{verb} asks for confirmation, and there is no terminal to ask on",
                          "say it with -s if you mean it", Exit.REFUSED)
NOT_CONFIRMED = Message(1031, "not confirmed; nothing was changed",
                        "answer as the question asks (y, or the name it shows), or say it with -s", Exit.FAILED)
CRASHED = Message(1090, "volrep met an error of its own: {problem}",
                  "the details are in {report}; please report them", Exit.FAILED)
