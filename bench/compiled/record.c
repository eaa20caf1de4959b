/* Log records and link frames, byte for byte as docs/formats.md has them; and cutting frames out of a stream. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "loop.h"

#define MAGIC 0x314c5256u               /* "VRL1" */
#define TYPE_WRITE 1

static void put32(uint8_t *at, uint32_t value) { memcpy(at, &value, sizeof value); }
static void put64(uint8_t *at, uint64_t value) { memcpy(at, &value, sizeof value); }
static uint32_t get32(const uint8_t *at) { uint32_t value; memcpy(&value, at, sizeof value); return value; }
static uint64_t get64(const uint8_t *at) { uint64_t value; memcpy(&value, at, sizeof value); return value; }

void record_header(uint8_t *header, const struct write *write, uint64_t lsn, uint64_t time_ns, uint64_t durable_lsn)
{
    put32(header, MAGIC);
    put32(header + 4, 1 | TYPE_WRITE << 8);             /* version, type, volume 0 */
    put32(header + 8, 1);                               /* generation */
    put32(header + 12, 1);                              /* incarnation */
    put64(header + 16, lsn);
    put64(header + 24, time_ns);
    put64(header + 32, write->offset);
    put64(header + 40, write->length);
    put64(header + 48, durable_lsn);
    put32(header + 56, crc32c(write->payload, write->length));
    put32(header + 60, crc32c(header, 60));
}

uint64_t record_check(const uint8_t *view, uint64_t available, uint64_t lsn, struct write *found)
{
    if (available < RECORD_HEADER_BYTES)
        return 0;
    uint64_t length = get64(view + 40);
    if (get32(view + 60) != crc32c(view, 60) || get32(view) != MAGIC || get32(view + 4) != (1 | TYPE_WRITE << 8)
            || get64(view + 16) != lsn || get64(view + 48) > lsn || length > PAYLOAD_MAX_BYTES)
        fail("a record does not fit");
    uint64_t bytes = record_bytes(length);
    if (available < bytes)
        return 0;
    if (crc32c(view + RECORD_HEADER_BYTES, length) != get32(view + 56))
        fail("a payload's checksum does not match");
    found->offset = get64(view + 32);
    found->length = (uint32_t)length;
    found->lsn_end = lsn + bytes;
    found->payload = (uint8_t *)view + RECORD_HEADER_BYTES;
    return bytes;
}

void frame_header(uint8_t *header, enum frame_type type, uint32_t length, uint64_t lsn, uint64_t aux,
                  uint32_t body_crc)
{
    put32(header, type);
    put32(header + 4, length);
    put64(header + 8, lsn);
    put64(header + 16, aux);
    put32(header + 24, body_crc);
    put32(header + 28, crc32c(header, 28));
}

void reader_begin(struct reader *reader)
{
    reader->target = reader->header;
    reader->wanted = FRAME_HEADER_BYTES;
    reader->filled = 0;
    reader->in_body = false;
}

static void parse(struct reader *reader, uint8_t *(*space)(uint64_t, uint32_t))
{
    const uint8_t *header = reader->header;
    if (get32(header + 28) != crc32c(header, 28))
        fail("a frame's checksum does not match");
    reader->type = get32(header);
    reader->length = get32(header + 4);
    reader->lsn = get64(header + 8);
    reader->aux = get64(header + 16);
    reader->body_crc = get32(header + 24);
    if (reader->length > (reader->type == FRAME_LOG ? LOG_BODY_MAX : sizeof reader->small))
        fail("a frame is too long");
    reader->in_body = true;
    reader->filled = 0;
    reader->wanted = reader->length;
    reader->target = reader->type == FRAME_LOG ? space(reader->lsn, reader->length) : reader->small;
}

bool reader_receive(struct reader *reader, int fd, uint8_t *(*space)(uint64_t, uint32_t), bool *empty)
{
    ssize_t got = recv(fd, reader->target + reader->filled, reader->wanted - reader->filled, 0);
    *empty = got < 0 && errno == EAGAIN;
    if (*empty)
        return false;
    if (got < 0)
        die("link");
    if (got == 0)
        fail("the other end of the link is gone");
    reader->filled += (uint32_t)got;
    if (reader->filled == reader->wanted && !reader->in_body)
        parse(reader, space);
    if (!reader->in_body || reader->filled < reader->wanted)
        return false;
    if (reader->type != FRAME_LOG && reader->length && crc32c(reader->small, reader->length) != reader->body_crc)
        fail("a frame's body does not match");
    reader_begin(reader);
    return true;
}
