"""Messages: hosts."""

from volrep.model.errors import Exit, Message

