"""Messages: console."""

from volrep.model.errors import Exit, Message

