"""The numbers of the NBD protocol, named as its specification names them (doc/proto.md of the NBD project).

Pure. Knows values only: nothing here decides anything. Everything on the wire is big endian.

    request (28 bytes)          simple reply (16 bytes)     structured chunk (20 bytes)
    0  u32 REQUEST_MAGIC        0  u32 SIMPLE_REPLY_MAGIC   0  u32 STRUCTURED_REPLY_MAGIC
    4  u16 command flags        4  u32 error                4  u16 flags (REPLY_FLAG_*)
    6  u16 type (CMD_*)         8  u64 cookie               6  u16 type (REPLY_TYPE_*)
    8  u64 cookie               16 payload of a read        8  u64 cookie
    16 u64 offset                                           16 u32 length of what follows
    24 u32 length               option (16 bytes)           option reply (20 bytes)
    28 payload of a write       0  u64 OPTION_MAGIC         0  u64 OPTION_REPLY_MAGIC
                                8  u32 OPT_*                8  u32 the OPT_* it answers
                                12 u32 length               12 u32 REP_*
                                16 data                     16 u32 length, then data
"""

from __future__ import annotations

from struct import Struct

# Handshake

INIT_PASSWORD = b"NBDMAGIC"
OPTION_MAGIC_BYTES = b"IHAVEOPT"
OPTION_MAGIC = 0x49484156454F5054
OPTION_REPLY_MAGIC = 0x3E889045565A9

FLAG_FIXED_NEWSTYLE = 1 << 0
FLAG_NO_ZEROES = 1 << 1

OPT_EXPORT_NAME = 1
OPT_ABORT = 2
OPT_LIST = 3
OPT_STARTTLS = 5
OPT_INFO = 6
OPT_GO = 7
OPT_STRUCTURED_REPLY = 8
OPT_LIST_META_CONTEXT = 9
OPT_SET_META_CONTEXT = 10
OPT_EXTENDED_HEADERS = 11

REP_ACK = 1
REP_SERVER = 2
REP_INFO = 3
REP_META_CONTEXT = 4
REP_ERR_UNSUP = (1 << 31) + 1
REP_ERR_INVALID = (1 << 31) + 3
REP_ERR_UNKNOWN = (1 << 31) + 6
REP_ERR_TOO_BIG = (1 << 31) + 9

INFO_EXPORT = 0
INFO_NAME = 1
INFO_DESCRIPTION = 2
INFO_BLOCK_SIZE = 3

STRING_BYTES_MAX = 4096  # the specification's limit for names and descriptions

OPTION = Struct(">QII")
OPTION_REPLY = Struct(">QIII")
EXPORT_NAME_REPLY = Struct(">QH")
EXPORT_NAME_PADDING = bytes(124)
INFO_EXPORT_DATA = Struct(">HQH")
INFO_BLOCK_SIZE_DATA = Struct(">HIII")

# Transmission flags of an export

FLAG_HAS_FLAGS = 1 << 0
FLAG_READ_ONLY = 1 << 1
FLAG_SEND_FLUSH = 1 << 2
FLAG_SEND_FUA = 1 << 3
FLAG_SEND_TRIM = 1 << 5
FLAG_SEND_WRITE_ZEROES = 1 << 6
FLAG_SEND_DF = 1 << 7
FLAG_CAN_MULTI_CONN = 1 << 8
FLAG_SEND_CACHE = 1 << 10

# Requests

REQUEST_MAGIC = 0x25609513
REQUEST = Struct(">IHH8sQI")  # magic, flags, command, cookie as it came, offset, length

CMD_READ = 0
CMD_WRITE = 1
CMD_DISC = 2
CMD_FLUSH = 3
CMD_TRIM = 4
CMD_CACHE = 5
CMD_WRITE_ZEROES = 6
CMD_BLOCK_STATUS = 7

CMD_FLAG_FUA = 1 << 0
CMD_FLAG_NO_HOLE = 1 << 1
CMD_FLAG_DF = 1 << 2
CMD_FLAG_REQ_ONE = 1 << 3

# Replies

SIMPLE_REPLY_MAGIC = 0x67446698
STRUCTURED_REPLY_MAGIC = 0x668E33EF

SIMPLE_REPLY = Struct(">II8s")
CHUNK = Struct(">IHH8sI")
CHUNK_OFFSET_DATA = Struct(">IHH8sIQ")
CHUNK_ERROR = Struct(">IHH8sIIH")
CHUNK_BLOCK_STATUS = Struct(">IHH8sII")
EXTENT = Struct(">II")

REPLY_FLAG_DONE = 1 << 0

REPLY_TYPE_NONE = 0
REPLY_TYPE_OFFSET_DATA = 1
REPLY_TYPE_BLOCK_STATUS = 5
REPLY_TYPE_ERROR = (1 << 15) + 1

# base:allocation

CONTEXT_BASE_ALLOCATION = "base:allocation"
STATE_HOLE = 1 << 0
STATE_ZERO = 1 << 1

# Errors that may stand in a reply: these numbers, whatever the system's own errno values are

EPERM = 1
EIO = 5
ENOMEM = 12
EINVAL = 22
ENOSPC = 28
EOVERFLOW = 75
ENOTSUP = 95
ESHUTDOWN = 108
