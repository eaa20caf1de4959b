"""Messages: volumes."""

from volrep.model.errors import Exit, Message

