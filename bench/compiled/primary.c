/* The Primary: batches of writes go to the link, the ring, the clients and the volume (backend/volrep/rvg/primary.py,
 * link/sender.py, link/outbox.py). */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "loop.h"

#define BATCH_COMMIT_RECORDS (8 * KIB)
#define BATCH_COMMIT_BYTES (4 * MIB)
#define GATHER_BYTES MIB
#define GATHER_NS 2000000ull            /* asynchronous: what is sent may be so old */
#define COMMIT_NS 1000000ull            /* synchronous: a commit LSN that rides on no batch goes alone */
#define IOV_LIVE_MAX 1023
#define WAITING_MAX 16384               /* beyond CLIENTS_MAX times the writes in flight of one */

struct out { uint8_t bytes[FRAME_HEADER_BYTES]; uint64_t lsn, length; bool of_ring; uint32_t from; };

static struct journal journal;
static int epoll, control_fd, link_fd = -1;
static bool synchronous, paused, link_writing;
static uint64_t sent_lsn, announced_lsn, network_lsn, data_lsn, remote_applied_lsn, commit_due_ns;
static struct out outbox[8];
static unsigned out_first, out_count;
static struct reader reader;

static struct write batch[BATCH_COMMIT_RECORDS], waiting[WAITING_MAX];
static unsigned batch_count, waiting_first, waiting_count;
static uint64_t batch_bytes;

bool primary_full(void)
{
    return batch_count == BATCH_COMMIT_RECORDS || batch_bytes >= BATCH_COMMIT_BYTES;
}

bool primary_add(uint32_t client, uint64_t cookie, uint64_t offset, uint32_t length, uint8_t *payload)
{
    if (primary_full())
        return false;
    batch[batch_count++] = (struct write){.offset = offset, .cookie = cookie, .length = length, .client = client,
                                          .payload = payload};
    batch_bytes += record_bytes(length);
    return true;
}

/* The link. */

static void link_want_writable(bool writing)
{
    if (writing != link_writing)
        epoll_set(epoll, EPOLL_CTL_MOD, link_fd, true, writing, TAG_LINK);
    link_writing = writing;
}

static void out_frame(enum frame_type type, uint32_t length, uint64_t lsn)
{
    struct out *item = &outbox[out_count++];
    announced_lsn = journal.end_lsn;
    item->of_ring = false, item->from = 0;
    frame_header(item->bytes, type, length, lsn, type == FRAME_LOG ? announced_lsn : 0, 0);
}

static void out_ring(uint64_t lsn, uint64_t length)
{
    while (length) {
        uint64_t part = least(length, ring_to_edge(&journal, lsn));
        outbox[out_count++] = (struct out){.lsn = lsn, .length = part, .of_ring = true};
        lsn += part, length -= part;
    }
}

/* Whether everything is gone. */
static bool out_flush(void)
{
    while (out_first < out_count) {
        struct out *item = &outbox[out_first];
        ssize_t sent;
        if (item->of_ring) {
            off_t offset = (off_t)ring_offset(&journal, item->lsn);
            sent = sendfile(link_fd, journal.ring_fd, &offset, item->length);
        } else {
            sent = send(link_fd, item->bytes + item->from, FRAME_HEADER_BYTES - item->from, MSG_NOSIGNAL);
        }
        if (sent < 0 && errno == EAGAIN)
            return false;
        if (sent <= 0)
            die("link");
        if (item->of_ring)
            item->lsn += (uint64_t)sent, item->length -= (uint64_t)sent;
        else
            item->from += (uint32_t)sent;
        if (item->of_ring ? !item->length : item->from == FRAME_HEADER_BYTES)
            out_first++;
    }
    out_first = out_count = 0;
    return true;
}

static bool out_refill(void)
{
    if (sent_lsn < journal.end_lsn && !paused) {
        uint64_t length = least(LOG_BODY_MAX, journal.end_lsn - sent_lsn);
        out_frame(FRAME_LOG, (uint32_t)length, sent_lsn);
        out_ring(sent_lsn, length);
        sent_lsn += length;
        return true;
    }
    if (announced_lsn < journal.end_lsn && !commit_due_ns && !paused) {
        out_frame(FRAME_COMMIT, 0, journal.end_lsn);
        return true;
    }
    return false;
}

static void link_pump(void)
{
    while (out_flush())
        if (!out_refill()) {
            link_want_writable(false);
            return;
        }
    link_want_writable(true);
}

/* Before the batch is written to the ring: send it from memory when it is the next thing to send. */
static void link_offer(struct iovec *iov, int count, uint64_t length)
{
    static uint8_t header[FRAME_HEADER_BYTES];
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = (size_t)count + 1};
    if (link_fd < 0 || paused || sent_lsn != journal.end_lsn || out_count || length > LOG_BODY_MAX
            || count > IOV_LIVE_MAX || (!synchronous && length < GATHER_BYTES))
        return;
    announced_lsn = journal.end_lsn;
    frame_header(header, FRAME_LOG, (uint32_t)length, sent_lsn, announced_lsn, 0);
    iov[0] = (struct iovec){header, FRAME_HEADER_BYTES};
    ssize_t sent = sendmsg(link_fd, &message, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN)
        die("link");
    uint64_t taken = sent < 0 ? 0 : (uint64_t)sent;
    if (taken < FRAME_HEADER_BYTES) {
        outbox[out_count] = (struct out){.from = (uint32_t)taken};
        memcpy(outbox[out_count++].bytes, header, FRAME_HEADER_BYTES);
    }
    uint64_t done = taken > FRAME_HEADER_BYTES ? taken - FRAME_HEADER_BYTES : 0;
    out_ring(sent_lsn + done, length - done);
    sent_lsn += length;
    if (out_count)
        link_want_writable(true);
}

static void link_committed(void)
{
    uint64_t behind = journal.end_lsn - sent_lsn;
    if (link_fd < 0)
        return;
    if (behind >= GATHER_BYTES || (synchronous && behind))
        link_pump();
    else if (!commit_due_ns)
        commit_due_ns = now_ns() + (synchronous ? COMMIT_NS : GATHER_NS);
}

static void release_waiting(void)
{
    bool any = false;
    while (waiting_count && (!synchronous || waiting[waiting_first].lsn_end <= network_lsn)) {
        nbd_reply_write(waiting[waiting_first].client, waiting[waiting_first].cookie);
        waiting_first = (waiting_first + 1) % WAITING_MAX;
        waiting_count--;
        any = true;
    }
    if (any)
        nbd_flush();
}

static uint8_t *no_log(uint64_t lsn, uint32_t length)
{
    (void)lsn, (void)length;
    fail("a Secondary sent log");
}

static void link_receive(void)
{
    for (bool empty = false; !empty;) {
        if (!reader_receive(&reader, link_fd, no_log, &empty))
            continue;
        if (reader.type != FRAME_ACK || reader.lsn > sent_lsn || reader.aux > journal.end_lsn)
            fail("an acknowledgement makes no sense");
        network_lsn = reader.lsn;
        data_lsn = journal.retain_lsn = reader.aux;
        memcpy(&remote_applied_lsn, reader.small, sizeof remote_applied_lsn);
        release_waiting();
    }
}

/* The batch. */

static int encode(struct iovec *iov, uint64_t lsn)
{
    static uint8_t headers[BATCH_COMMIT_RECORDS][RECORD_HEADER_BYTES], padding[8];
    struct timespec now;
    int used = 0;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t time_ns = (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
    for (unsigned i = 0; i < batch_count; i++) {
        record_header(headers[i], &batch[i], lsn, time_ns, journal.end_lsn);
        iov[used++] = (struct iovec){headers[i], RECORD_HEADER_BYTES};
        iov[used++] = (struct iovec){batch[i].payload, batch[i].length};
        if (batch[i].length & 7)
            iov[used++] = (struct iovec){padding, -batch[i].length & 7};
        batch[i].lsn_end = lsn += record_bytes(batch[i].length);
    }
    return used;
}

static void complete(void)
{
    if (link_fd < 0 || !synchronous) {
        for (unsigned i = 0; i < batch_count; i++)
            nbd_reply_write(batch[i].client, batch[i].cookie);
        nbd_flush();
        return;
    }
    for (unsigned i = 0; i < batch_count; i++, waiting_count++)
        waiting[(waiting_first + waiting_count) % WAITING_MAX] = batch[i];
    release_waiting();
}

/* False when the ring has no room; a checkpoint or an acknowledgement brings it. */
static bool commit(void)
{
    static struct iovec iov[3 * BATCH_COMMIT_RECORDS + 2];      /* a frame's header first, a page's rest last */
    if (!batch_count)
        return true;
    if (!journal_has_room(&journal, batch_bytes)) {
        journal_checkpoint(&journal, true);
        return false;
    }
    int used = encode(iov + 1, journal.end_lsn);
    link_offer(iov, used, batch_bytes);
    journal_append(&journal, iov + 1, used, batch_bytes);
    link_committed();
    complete();
    if (waiting_count)                  /* the Secondary has answered during the sync, as a rule */
        link_receive();
    journal_apply(&journal, batch, (int)batch_count);
    batch_count = 0, batch_bytes = 0;
    nbd_release();
    return true;
}

/* Control and the loop. */

static void control(void)
{
    char line[64] = "", answer[128];
    int fd = accept4(control_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    if (read(fd, line, sizeof line - 1) <= 0) {
        close(fd);                      /* somebody looked whether it listens */
        return;
    }
    line[strcspn(line, "\n")] = 0;
    if (!strcmp(line, "sync") || !strcmp(line, "async"))
        synchronous = link_fd >= 0 && line[0] == 's';
    else if (!strcmp(line, "pause") || !strcmp(line, "resume"))
        paused = line[0] == 'p';
    else if (strcmp(line, "status"))
        fail("an unknown word on the control socket");
    release_waiting();
    if (link_fd >= 0 && strcmp(line, "status"))
        link_pump();
    int length = snprintf(answer, sizeof answer, "%llu %llu %llu %llu\n", (unsigned long long)journal.end_lsn,
                          (unsigned long long)network_lsn, (unsigned long long)data_lsn,
                          (unsigned long long)remote_applied_lsn);
    if (write(fd, answer, (size_t)length) != length)
        die("control socket");
    close(fd);
}

static void control_listen(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    control_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (control_fd < 0 || bind(control_fd, (struct sockaddr *)&address, sizeof address) || listen(control_fd, 8))
        die(path);
    epoll_set(epoll, EPOLL_CTL_ADD, control_fd, true, false, TAG_CONTROL);
}

static void link_connect(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address))
        die("the Secondary");
    link_fd = link_socket(fd);
    journal.retain_lsn = 0;
    reader_begin(&reader);
    epoll_set(epoll, EPOLL_CTL_ADD, link_fd, true, false, TAG_LINK);
}

static void event(uint32_t tag, uint32_t events)
{
    if (nbd_event(tag, events))
        return;
    if (tag == TAG_DONE)
        journal_checkpointed(&journal);
    else if (tag == TAG_CONTROL)
        control();
    else if (events & EPOLLOUT)
        link_pump();
    if (tag == TAG_LINK && events & ~(uint32_t)EPOLLOUT)
        link_receive();
}

void primary_run(const char *volume, const char *ring, const char *nbd, const char *control_path, int port)
{
    struct epoll_event found[32];
    epoll = epoll_create1(EPOLL_CLOEXEC);
    journal_open(&journal, volume, ring);
    epoll_set(epoll, EPOLL_CTL_ADD, journal.done_fd, true, false, TAG_DONE);
    if (port)
        link_connect(port);
    control_listen(control_path);
    nbd_listen(nbd, journal.volume_bytes, journal.volume_fd, epoll);
    for (;;) {
        uint64_t due = commit_due_ns ? least(commit_due_ns, journal.tick_ns) : journal.tick_ns;
        int count = epoll_wait(epoll, found, 32, wait_ms(due));
        for (int i = 0; i < count; i++) {
            event(found[i].data.u32, found[i].events);
            if (primary_full())
                commit();
        }
        if (commit_due_ns && now_ns() >= commit_due_ns) {
            commit_due_ns = 0;
            link_pump();
        }
        journal_tick(&journal);
        while (commit() && nbd_resume())
            ;
    }
}
