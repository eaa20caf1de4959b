"""Messages: volumes."""

from volrep.model.errors import Exit, Message

BAD_VOLUME_SIZE = Message(1200, "volume {name}: {size_bytes} bytes is no multiple of {sector_bytes}",
                          "round it, for example to {rounded_bytes}", Exit.USAGE)
VOLUME_EXISTS = Message(1201, "volume {name}: {path} is there already",
                        "choose another name, or adopt it: `volrep -g DG volume add {name} {path}`", Exit.REFUSED)
NO_SPACE = Message(1202, "volume {name}: {size_bytes} bytes needed in {directory}, {free_bytes} free",
                   "free space there, or use a directory on another file system", Exit.REFUSED)
NO_SUCH_DEVICE = Message(1203, "volume {name}: {path} cannot be used: {reason}",
                         "name an existing regular file or block device that the engine may read and write",
                         Exit.REFUSED)
VOLUME_IN_USE = Message(1204, "volume {name}: {path} is in use: {by}",
                        "stop whatever uses it, then run the command again", Exit.REFUSED)
VOLUME_NOT_MADE = Message(1205, "volume {name}: {path} cannot be created: {reason}",
                          "check the directory and its permissions; nothing was left behind", Exit.FAILED)
VOLUME_NOT_DESTROYED = Message(1206, "volume {name}: {path} cannot be destroyed: {reason}",
                               "check the path and its permissions, then run the command again", Exit.FAILED)
