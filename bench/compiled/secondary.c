/* The Secondary: what arrives is checked, acknowledged, committed in order, acknowledged again
 * (backend/volrep/link/receiver.py, link/logbuffer.py, rvg/secondary.py). */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop.h"

#define COMMIT_NS 2000000ull
#define COMMIT_NOW_BYTES (256 * KIB)
#define COMMIT_AMID_BYTES (6 * MIB)
#define FRAMES_PER_TURN 64
#define BUFFER_BYTES (8 * MIB + RECORD_HEADER_BYTES + PAYLOAD_MAX_BYTES + 2 * LOG_BODY_MAX)
#define RECORDS_HELD_MAX (BUFFER_BYTES / RECORD_HEADER_BYTES)

static struct journal journal;
static int epoll, link_fd;
static struct reader reader;
static bool waiting_room;

/* 0 ... committed ... verified ... filled ... BUFFER_BYTES, as in link/logbuffer.py */
static uint8_t *buffer;
static uint64_t committed, verified, filled, committed_lsn, verified_lsn, filled_lsn, commit_lsn, commit_due_ns;
static struct write *held;              /* verified, not committed */
static unsigned held_count;

static void compact(void)
{
    memmove(buffer, buffer + committed, filled - committed);
    for (unsigned i = 0; i < held_count; i++)
        held[i].payload -= committed;
    verified -= committed, filled -= committed;
    committed = 0;
}

static uint8_t *space(uint64_t lsn, uint32_t length)
{
    if (lsn != filled_lsn)
        fail("log that does not continue");
    if (filled + length > BUFFER_BYTES)
        compact();
    if (filled + length > BUFFER_BYTES)
        fail("more log than fits");
    uint8_t *at = buffer + filled;
    filled += length, filled_lsn += length;
    return at;
}

static void verify(void)
{
    for (;;) {
        if (held_count == RECORDS_HELD_MAX)
            fail("more records than fit");
        uint64_t bytes = record_check(buffer + verified, filled - verified, verified_lsn, &held[held_count]);
        if (!bytes)
            return;
        verified += bytes, verified_lsn += bytes, held_count++;
    }
}

static void acknowledge(void)
{
    uint8_t frame[FRAME_HEADER_BYTES + 8];
    memcpy(frame + FRAME_HEADER_BYTES, &journal.applied_lsn, 8);
    frame_header(frame, FRAME_ACK, 8, verified_lsn, committed_lsn, crc32c(frame + FRAME_HEADER_BYTES, 8));
    if (send(link_fd, frame, sizeof frame, MSG_NOSIGNAL) != sizeof frame)
        die("link");
}

static uint64_t due_bytes(void)
{
    uint64_t due = least(commit_lsn, verified_lsn);
    return due > committed_lsn ? due - committed_lsn : 0;
}

static void commit(void)
{
    unsigned count = 0;
    if (!due_bytes())
        return;
    if (!journal_has_room(&journal, due_bytes())) {
        journal_checkpoint(&journal, true);
        waiting_room = true;
        epoll_set(epoll, EPOLL_CTL_MOD, link_fd, false, false, TAG_LINK);
        return;
    }
    while (count < held_count && held[count].lsn_end <= commit_lsn)
        count++;
    if (!count)
        return;
    uint64_t length = held[count - 1].lsn_end - committed_lsn;
    struct iovec iov[2] = {{buffer + committed, length}};
    committed += length, committed_lsn += length;
    journal_append(&journal, iov, 1, length);
    journal_apply(&journal, held, (int)count);
    memmove(held, held + count, (held_count - count) * sizeof *held);
    held_count -= count;
    if (committed == filled)
        committed = verified = filled = 0;
    acknowledge();
}

static void after_frames(bool unacknowledged)
{
    if (unacknowledged)
        acknowledge();
    if (due_bytes() >= COMMIT_NOW_BYTES)
        commit();
    else if (due_bytes() && !commit_due_ns)
        commit_due_ns = now_ns() + COMMIT_NS;
}

static void receive(void)
{
    bool empty = false, unacknowledged = false;
    for (int frames = 0; frames < FRAMES_PER_TURN && !empty && !waiting_room;) {
        if (!reader_receive(&reader, link_fd, space, &empty))
            continue;
        frames++;
        uint64_t said = reader.type == FRAME_LOG ? reader.aux : reader.lsn;
        commit_lsn = said > commit_lsn ? said : commit_lsn;
        if (reader.type == FRAME_LOG) {
            verify();
            unacknowledged = true;
            if (due_bytes() >= COMMIT_AMID_BYTES) {
                after_frames(true);
                unacknowledged = false;
            }
        } else if (reader.type != FRAME_COMMIT) {
            fail("an unexpected frame");
        }
    }
    after_frames(unacknowledged);
}

static void room(void)
{
    if (!waiting_room)
        return;
    waiting_room = false;
    commit();
    if (!waiting_room)
        epoll_set(epoll, EPOLL_CTL_MOD, link_fd, true, false, TAG_LINK);
}

static void link_accept(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one)
            || bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1))
        die("port");
    fprintf(stderr, "listening\n");
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        die("accept");
    link_fd = link_socket(fd);
    close(listener);
    reader_begin(&reader);
    epoll_set(epoll, EPOLL_CTL_ADD, link_fd, true, false, TAG_LINK);
}

void secondary_run(const char *volume, const char *ring, int port)
{
    struct epoll_event found[8];
    epoll = epoll_create1(EPOLL_CLOEXEC);
    journal_open(&journal, volume, ring);
    epoll_set(epoll, EPOLL_CTL_ADD, journal.done_fd, true, false, TAG_DONE);
    buffer = malloc(BUFFER_BYTES);
    held = malloc(RECORDS_HELD_MAX * sizeof *held);
    if (!buffer || !held)
        die("memory");
    link_accept(port);
    for (;;) {
        uint64_t due = commit_due_ns ? least(commit_due_ns, journal.tick_ns) : journal.tick_ns;
        int count = epoll_wait(epoll, found, 8, wait_ms(due));
        for (int i = 0; i < count; i++)
            if (found[i].data.u32 == TAG_LINK) {
                receive();
            } else {
                journal_checkpointed(&journal);
                room();
            }
        if (commit_due_ns && now_ns() >= commit_due_ns) {
            commit_due_ns = 0;
            commit();
        }
        journal_tick(&journal);
    }
}
