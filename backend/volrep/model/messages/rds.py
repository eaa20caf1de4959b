"""Messages: rds."""


