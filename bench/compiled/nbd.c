/* NBD clients on a unix socket (newstyle: what libnbd needs): backend/volrep/nbd and rvg/reads.py. */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "loop.h"

#define RECEIVE_BYTES (2 * MIB)
#define SCRATCH_BYTES (2 * MIB)
#define IN_FLIGHT_MAX 1024
#define OUT_BYTES (96 * KIB)            /* replies without their data */
#define OUT_FLUSH_BYTES (48 * KIB)      /* and 16 KiB for the writes in flight */
#define ITEMS_MAX 4096
#define FROM_FILE_BYTES (32 * KIB)      /* reads so long go from the page cache to the socket */
#define TAIL_MOVE_BYTES (64 * KIB)
#define CACHESTAT 451

enum { OPT_EXPORT_NAME = 1, OPT_ABORT = 2, OPT_GO = 7, OPT_STRUCTURED_REPLY = 8 };
enum { CMD_READ, CMD_WRITE, CMD_DISC, CMD_FLUSH };
enum stage { GREETED, OPTIONS, REQUESTS };

struct item { const uint8_t *at; uint64_t offset, length; };    /* at NULL: of the volume, from offset on */

struct client {
    int fd;
    enum stage stage;
    bool structured, no_zeroes, held, more, pending, masked, leaving;
    uint32_t start, end, in_flight, out_used, scratch_used, first, items;
    uint8_t *in, *scratch, *out;
    struct item item[ITEMS_MAX];
};

static struct client clients[CLIENTS_MAX];
static int listener, epoll, volume;
static uint64_t volume_bytes;

static bool blocked(const struct client *c)
{
    return c->held || c->pending || c->leaving || c->in_flight >= IN_FLIGHT_MAX;
}

static void leave(struct client *c)
{
    close(c->fd);                       /* its place is free once nothing of it is in flight */
    c->fd = -1;
    c->more = c->pending = false;
    c->first = c->items = c->out_used = c->scratch_used = c->start = c->end = 0;
}

/* What is to be sent. */

static void add(struct client *c, const uint8_t *at, uint64_t offset, uint64_t length)
{
    struct item *last = c->items > c->first ? &c->item[c->items - 1] : NULL;
    if (last && at && last->at && last->at + last->length == at)
        last->length += length;
    else if (c->items == ITEMS_MAX)
        fail("too many replies");
    else
        c->item[c->items++] = (struct item){at, offset, length};
}

static uint8_t *say(struct client *c, uint32_t length)
{
    uint8_t *at = c->out + c->out_used;
    if (c->out_used + length > OUT_BYTES)
        fail("too many replies");
    c->out_used += length;
    add(c, at, 0, length);
    return at;
}

static ssize_t send_some(struct client *c)
{
    struct item *first = &c->item[c->first];
    if (!first->at) {
        off_t offset = (off_t)first->offset;
        return sendfile(c->fd, volume, &offset, first->length);
    }
    struct iovec iov[IOV_ONE_CALL];
    struct msghdr message = {.msg_iov = iov};
    for (uint32_t i = c->first; i < c->items && c->item[i].at && message.msg_iovlen < IOV_ONE_CALL; i++)
        iov[message.msg_iovlen++] = (struct iovec){(void *)c->item[i].at, c->item[i].length};
    return sendmsg(c->fd, &message, MSG_NOSIGNAL);
}

static void flush(struct client *c)
{
    while (c->fd >= 0 && c->first < c->items) {
        ssize_t sent = send_some(c);
        if (sent < 0 && errno == EAGAIN) {
            if (!c->pending)
                epoll_set(epoll, EPOLL_CTL_MOD, c->fd, false, true, TAG_CLIENT + (uint32_t)(c - clients));
            c->pending = c->masked = true;
            return;
        }
        if (sent <= 0) {
            leave(c);
            return;
        }
        for (uint64_t left = (uint64_t)sent; left;) {
            struct item *item = &c->item[c->first];
            uint64_t part = least(left, item->length);
            item->at = item->at ? item->at + part : NULL;
            item->offset += part, item->length -= part, left -= part;
            if (!item->length)
                c->first++;
        }
    }
    c->first = c->items = c->out_used = c->scratch_used = 0;
    c->pending = false;
}

/* Requests. */

static bool is_cached(uint64_t offset, uint32_t length)
{
    uint64_t range[2] = {offset, length}, state[5] = {0};
    uint8_t probe;
    struct iovec one = {&probe, 1};
    if (syscall(CACHESTAT, volume, range, state, 0) < 0)
        return false;
    return state[0] > (offset + length - 1) / PAGE_BYTES - offset / PAGE_BYTES
           && preadv2(volume, &one, 1, (off_t)(offset + length - 1), RWF_NOWAIT) == 1;
}

/* False when what was read before has to be taken first. volrep reads in a thread what the page cache lacks. */
static bool answer_read(struct client *c, uint64_t cookie, uint64_t offset, uint32_t length)
{
    bool from_file = length >= FROM_FILE_BYTES;
    if (c->out_used > OUT_FLUSH_BYTES || (!from_file && c->scratch_used + length > SCRATCH_BYTES)) {
        flush(c);
        if (c->pending || c->fd < 0)
            return false;
    }
    uint8_t *reply = say(c, c->structured ? 28 : 16);
    uint32_t head[3] = {htobe32(c->structured ? 0x668e33ef : 0x67446698), c->structured ? htobe32(1 << 16 | 1) : 0,
                        htobe32(length + 8)};
    uint64_t place = htobe64(offset);
    memcpy(reply, head, 8);
    memcpy(reply + 8, &cookie, 8);
    if (c->structured) {
        memcpy(reply + 16, head + 2, 4);
        memcpy(reply + 20, &place, 8);
    }
    if (from_file) {
        is_cached(offset, length);
        add(c, NULL, offset, length);
        return true;
    }
    struct iovec space = {c->scratch + c->scratch_used, length};
    ssize_t got = preadv2(volume, &space, 1, (off_t)offset, RWF_NOWAIT);
    if (got != length && pread(volume, space.iov_base, length, (off_t)offset) != length)
        die("read");
    add(c, space.iov_base, 0, length);
    c->scratch_used += length;
    return true;
}

void nbd_reply_write(uint32_t client, uint64_t cookie)
{
    struct client *c = &clients[client];
    uint32_t head[2] = {htobe32(0x67446698), 0};
    c->in_flight--;
    if (c->fd < 0)
        return;
    uint8_t *reply = say(c, 16);
    memcpy(reply, head, 8);
    memcpy(reply + 8, &cookie, 8);
}

/* One request; false when it is not complete or has to wait. */
static bool take(struct client *c)
{
    const uint8_t *at = c->in + c->start;
    uint32_t magic, length;
    uint16_t type;
    uint64_t cookie, offset;
    memcpy(&magic, at, 4), memcpy(&type, at + 6, 2), memcpy(&cookie, at + 8, 8);
    memcpy(&offset, at + 16, 8), memcpy(&length, at + 24, 4);
    offset = be64toh(offset), length = be32toh(length);
    if (be32toh(magic) != 0x25609513 || offset + length > volume_bytes || offset + length < offset)
        fail("a request that makes no sense");
    switch (be16toh(type)) {
    case CMD_WRITE:
        if (!length || length > PAYLOAD_MAX_BYTES)
            fail("writes have 1 byte to 1 MiB here");
        if (c->end - c->start - 28 < length)
            return false;
        if (!primary_add((uint32_t)(c - clients), cookie, offset, length, c->in + c->start + 28))
            return false;
        c->in_flight++, c->start += length;
        c->held = true;
        break;
    case CMD_READ:
        if (!answer_read(c, cookie, offset, length))
            return false;
        break;
    case CMD_FLUSH:                     /* every completed write is durable already */
        c->in_flight++;
        nbd_reply_write((uint32_t)(c - clients), cookie);
        break;
    case CMD_DISC:
        c->leaving = true;
        break;
    default:
        fail("only READ, WRITE, FLUSH and DISC are known here");
    }
    c->start += 28;
    return true;
}

static void compact(struct client *c)
{
    uint32_t tail = c->end - c->start;
    if (c->held || !c->start || (tail > TAIL_MOVE_BYTES && c->end <= RECEIVE_BYTES / 2))
        return;
    memmove(c->in, c->in + c->start, tail);
    c->start = 0, c->end = tail;
}

static void cut(struct client *c)
{
    while (c->fd >= 0 && !c->pending && !c->leaving && c->in_flight < IN_FLIGHT_MAX && c->end - c->start >= 28
           && take(c))
        ;
    c->more = c->fd >= 0 && (primary_full() || c->pending || c->in_flight >= IN_FLIGHT_MAX);
    if (c->fd >= 0 && !c->pending)
        flush(c);
    compact(c);
}

/* The handshake. */

static void reply_option(struct client *c, uint32_t option, uint32_t kind, const void *data, uint32_t length)
{
    uint8_t *at = say(c, 20 + length);
    uint64_t magic = htobe64(0x3e889045565a9);
    uint32_t head[3] = {htobe32(option), htobe32(kind), htobe32(length)};
    memcpy(at, &magic, 8), memcpy(at + 8, head, 12);
    if (length)
        memcpy(at + 20, data, length);
}

static void answer_option(struct client *c, uint32_t option)
{
    struct __attribute__((packed)) { uint16_t kind; uint64_t bytes; uint16_t flags; } export = {
        htobe16(0), htobe64(volume_bytes), htobe16(1 | 4 | 8)};         /* HAS_FLAGS, SEND_FLUSH, SEND_FUA */
    if (option == OPT_EXPORT_NAME) {
        memcpy(say(c, 10), &export.bytes, 10);
        if (!c->no_zeroes)
            memset(say(c, 124), 0, 124);
    } else if (option == OPT_GO) {
        reply_option(c, option, 3, &export, sizeof export);             /* REP_INFO */
        reply_option(c, option, 1, NULL, 0);                            /* REP_ACK */
    } else if (option == OPT_STRUCTURED_REPLY || option == OPT_ABORT) {
        reply_option(c, option, 1, NULL, 0);
        c->structured = true;
        c->leaving = option == OPT_ABORT;
    } else {
        reply_option(c, option, 1u << 31 | 1, NULL, 0);                 /* REP_ERR_UNSUP */
    }
    if (option == OPT_EXPORT_NAME || option == OPT_GO)
        c->stage = REQUESTS;
}

static void negotiate(struct client *c)
{
    if (c->stage == GREETED && c->end - c->start >= 4) {
        c->no_zeroes = c->in[c->start + 3] & 2;
        c->start += 4;
        c->stage = OPTIONS;
    }
    while (c->stage == OPTIONS && !c->leaving && c->end - c->start >= 16) {
        uint32_t head[2];
        memcpy(head, c->in + c->start + 8, 8);
        uint32_t length = be32toh(head[1]);
        if (length > 16 * KIB)
            fail("an option is too long");
        if (c->end - c->start < 16 + length)
            break;
        c->start += 16 + length;
        answer_option(c, be32toh(head[0]));
    }
    flush(c);
    compact(c);
}

/* Events. */

void nbd_listen(const char *path, uint64_t bytes, int volume_fd, int epoll_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    epoll = epoll_fd, volume = volume_fd, volume_bytes = bytes;
    for (int i = 0; i < CLIENTS_MAX; i++)
        clients[i].fd = -1;
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 64))
        die(path);
    epoll_set(epoll, EPOLL_CTL_ADD, listener, true, false, TAG_NBD);
}

static void accept_one(void)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), size = MIB;
    struct client *c = clients;
    if (fd < 0)
        return;
    while (c < clients + CLIENTS_MAX && (c->fd >= 0 || c->in_flight || c->held))
        c++;
    if (c == clients + CLIENTS_MAX)
        fail("too many clients");
    uint8_t *in = c->in ? c->in : malloc(RECEIVE_BYTES), *scratch = c->scratch ? c->scratch : malloc(SCRATCH_BYTES);
    uint8_t *out = c->out ? c->out : malloc(OUT_BYTES);
    if (!in || !scratch || !out)
        die("memory");
    memset(c, 0, offsetof(struct client, item));
    c->fd = fd, c->in = in, c->scratch = scratch, c->out = out;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    epoll_set(epoll, EPOLL_CTL_ADD, fd, true, false, TAG_CLIENT + (uint32_t)(c - clients));
    memcpy(say(c, 18), "NBDMAGICIHAVEOPT\0\3", 18);     /* FIXED_NEWSTYLE, NO_ZEROES */
    flush(c);
}

static void receive(struct client *c)
{
    ssize_t got = recv(c->fd, c->in + c->end, RECEIVE_BYTES - c->end, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        leave(c);
        return;
    }
    c->end += (uint32_t)got;
    if (c->stage != REQUESTS)
        negotiate(c);
    if (c->fd >= 0 && c->stage == REQUESTS)
        cut(c);
    if (c->fd >= 0 && c->leaving && !c->in_flight && !c->pending)
        leave(c);
}

bool nbd_event(uint32_t tag, uint32_t events)
{
    if (tag == TAG_NBD)
        accept_one();
    if (tag < TAG_CLIENT)
        return tag == TAG_NBD;
    struct client *c = &clients[tag - TAG_CLIENT];
    if (c->fd < 0)
        return true;
    if (events & EPOLLOUT)
        flush(c);
    if (c->fd >= 0 && events & ~(uint32_t)EPOLLOUT) {
        if (events & EPOLLHUP) {
            leave(c);
        } else if (blocked(c)) {
            epoll_set(epoll, EPOLL_CTL_MOD, c->fd, false, c->pending, tag);
            c->masked = true;
        } else {
            receive(c);
        }
    }
    return true;
}

void nbd_flush(void)
{
    for (struct client *c = clients; c < clients + CLIENTS_MAX; c++)
        if (c->fd >= 0 && c->items && !c->pending) {
            flush(c);
            if (c->fd >= 0 && c->leaving && !c->in_flight && !c->pending)
                leave(c);
        }
}

void nbd_release(void)
{
    for (struct client *c = clients; c < clients + CLIENTS_MAX; c++)
        if (c->held) {
            c->held = false;
            compact(c);
        }
}

bool nbd_resume(void)
{
    bool resumed = false;
    for (struct client *c = clients; c < clients + CLIENTS_MAX; c++) {
        if (c->fd < 0 || blocked(c))
            continue;
        if (c->masked) {
            epoll_set(epoll, EPOLL_CTL_MOD, c->fd, true, false, TAG_CLIENT + (uint32_t)(c - clients));
            c->masked = false;
        }
        if (c->more) {
            cut(c);
            resumed = true;
        }
    }
    return resumed;
}
