"""Messages: rds."""

from volrep.model.errors import Exit, Message

