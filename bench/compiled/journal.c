/* The ring and the volume of one side: backend/volrep's log/srl.py, rvg/journal.py, volume/, ports/disk.py. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "loop.h"

#define HEADER_AREA_BYTES (128 * KIB)
#define SLOT_BYTES (64 * KIB)
#define CACHED_WRITE_BYTES (32 * KIB)
#define CHECKPOINT_BYTES_MAX (256ull * MIB)
#define CHECKPOINT_NS 5000000000ull
#define CACHESTAT 451

static uint8_t zeroes[2 * PAGE_BYTES], header_page[PAGE_BYTES];

static uint64_t file_bytes(int fd)
{
    struct stat found;
    if (fstat(fd, &found) < 0)
        die("fstat");
    return (uint64_t)found.st_size;
}

void journal_open(struct journal *journal, const char *volume, const char *ring)
{
    memset(journal, 0, sizeof *journal);
    journal->volume_fd = open(volume, O_RDWR | O_CLOEXEC);
    journal->ring_fd = open(ring, O_RDWR | O_CLOEXEC);
    journal->done_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (journal->volume_fd < 0 || journal->ring_fd < 0 || journal->done_fd < 0)
        die(volume);
    journal->volume_bytes = file_bytes(journal->volume_fd);
    journal->capacity_bytes = (file_bytes(journal->ring_fd) - HEADER_AREA_BYTES) / PAGE_BYTES * PAGE_BYTES;
    journal->retain_lsn = UINT64_MAX;
    journal->tick_ns = now_ns() + CHECKPOINT_NS;
}

/* All of it, with `flags` for every call; moves `iov`. */
static void write_all(int fd, struct iovec *iov, int count, uint64_t offset, int flags)
{
    while (count) {
        ssize_t done = pwritev2(fd, iov, count < IOV_ONE_CALL ? count : IOV_ONE_CALL, (off_t)offset, flags);
        if (done <= 0)
            die("write");
        offset += (uint64_t)done;
        for (; count && (size_t)done >= iov->iov_len; count--, iov++)
            done -= (ssize_t)iov->iov_len;
        if (done) {
            iov->iov_base = (uint8_t *)iov->iov_base + done;
            iov->iov_len -= (size_t)done;
        }
    }
}

/* To the page cache, cut at multiples of CACHED_WRITE_BYTES. */
static void write_cached(int fd, const struct iovec *iov, int count, uint64_t offset, uint64_t length)
{
    static struct iovec piece[2 * RECORDS_MAX + 2];
    int used = 0;
    uint64_t start = offset, room = CACHED_WRITE_BYTES - offset % CACHED_WRITE_BYTES;
    if (length <= CACHED_WRITE_BYTES)
        room = length;
    for (int i = 0; i < count; i++) {
        uint8_t *at = iov[i].iov_base;
        for (uint64_t left = iov[i].iov_len; left;) {
            uint64_t part = least(left, room);
            piece[used++] = (struct iovec){at, part};
            at += part, left -= part, room -= part, offset += part;
            if (!room) {
                write_all(fd, piece, used, start, 0);
                used = 0, start = offset, room = CACHED_WRITE_BYTES;
            }
        }
    }
    if (used)
        write_all(fd, piece, used, start, 0);
}

static void write_durable(int fd, struct iovec *iov, int count, uint64_t offset, uint64_t length)
{
    if (count <= IOV_ONE_CALL) {
        write_all(fd, iov, count, offset, RWF_DSYNC);
        return;
    }
    write_cached(fd, iov, count, offset, length);
    if (fdatasync(fd) < 0)
        die("fdatasync");
}

uint64_t ring_offset(const struct journal *journal, uint64_t lsn)
{
    return HEADER_AREA_BYTES + lsn % journal->capacity_bytes;
}

uint64_t ring_to_edge(const struct journal *journal, uint64_t lsn)
{
    return journal->capacity_bytes - lsn % journal->capacity_bytes;
}

void journal_append(struct journal *journal, struct iovec *iov, int count, uint64_t length)
{
    uint64_t after = journal->end_lsn + length, edge = ring_to_edge(journal, journal->end_lsn);
    uint64_t free_bytes = journal->capacity_bytes - (after - journal->tail_lsn);
    uint64_t blank = RECORD_HEADER_BYTES + (-(after + RECORD_HEADER_BYTES) & (PAGE_BYTES - 1));
    blank = least(free_bytes, blank);
    iov[count++] = (struct iovec){zeroes, blank};
    if (length + blank <= edge) {
        write_durable(journal->ring_fd, iov, count, ring_offset(journal, journal->end_lsn), length + blank);
    } else {
        static struct iovec head[2 * RECORDS_MAX + 2];
        int used = 0;
        uint64_t left = edge;
        for (; left >= iov[used].iov_len; used++) {
            head[used] = iov[used];
            left -= iov[used].iov_len;
        }
        head[used] = (struct iovec){iov[used].iov_base, left};
        iov[used].iov_base = (uint8_t *)iov[used].iov_base + left;
        iov[used].iov_len -= left;
        write_durable(journal->ring_fd, head, left ? used + 1 : used, ring_offset(journal, journal->end_lsn), edge);
        write_durable(journal->ring_fd, iov + used, count - used, HEADER_AREA_BYTES, length + blank - edge);
    }
    journal->end_lsn = after;
}

void journal_apply(struct journal *journal, const struct write *writes, int count)
{
    static struct iovec joined[IOV_ONE_CALL];
    for (int i = 0; i < count;) {
        uint64_t start = writes[i].offset, end = start;
        int used = 0;
        while (i < count && used < IOV_ONE_CALL && writes[i].offset == end) {
            joined[used++] = (struct iovec){writes[i].payload, writes[i].length};
            end += writes[i++].length;
        }
        if (end > journal->volume_bytes)
            fail("a write beyond the volume");
        write_cached(journal->volume_fd, joined, used, start, end - start);
    }
    journal->applied_lsn = journal->end_lsn;
    if (journal->applied_lsn - journal->checkpoint_lsn > least(journal->capacity_bytes / 4, CHECKPOINT_BYTES_MAX))
        journal_checkpoint(journal, false);
}

/* Both slots, one after the other, as large as volrep's. */
static void save_header(struct journal *journal)
{
    memcpy(header_page, &journal->tail_lsn, sizeof journal->tail_lsn);
    memcpy(header_page + 8, &journal->checkpoint_lsn, sizeof journal->checkpoint_lsn);
    for (int i = 0; i < 2; i++) {
        struct iovec page = {header_page, PAGE_BYTES};
        write_all(journal->ring_fd, &page, 1, journal->slot++ % 2 * SLOT_BYTES, RWF_DSYNC);
    }
}

bool journal_has_room(struct journal *journal, uint64_t length)
{
    uint64_t floor = least(journal->checkpoint_lsn, journal->retain_lsn);
    if (journal->end_lsn + length - journal->tail_lsn <= journal->capacity_bytes)
        return true;
    if (journal->end_lsn + length - floor > journal->capacity_bytes)
        return false;
    journal->tail_lsn = floor;
    save_header(journal);
    return true;
}

/* Checkpoints: a thread writes dirty pages back in portions of half a millisecond, then syncs (volume/writeback.py). */

static uint64_t dirty_bytes(int fd, uint64_t offset, uint64_t length)
{
    uint64_t range[2] = {offset, length}, state[5] = {0};
    return syscall(CACHESTAT, fd, range, state, 0) < 0 ? 0 : state[1] * PAGE_BYTES;
}

static uint64_t write_portion(struct journal *journal, uint64_t offset, uint64_t length, uint64_t portion)
{
    uint64_t start = now_ns();
    if (sync_file_range(journal->volume_fd, (off_t)offset, (off_t)length,
                        SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER) < 0)
        die("sync_file_range");
    uint64_t busy = now_ns() - start;
    usleep((useconds_t)(busy / 1000));
    if (busy > 500000)
        return portion / 2 > 64 * KIB ? portion / 2 : 64 * KIB;
    return busy < 250000 ? least(8 * MIB, portion * 2) : portion;
}

static void write_back_gently(struct journal *journal)
{
    uint64_t end = now_ns() + 4000000000ull, portion = 64 * KIB, length = portion, offset = 0;
    if (dirty_bytes(journal->volume_fd, 0, journal->volume_bytes) <= 512 * KIB)
        return;
    while (offset < journal->volume_bytes && !atomic_load(&journal->hurry) && now_ns() < end) {
        length = least(length, journal->volume_bytes - offset);
        uint64_t dirty = dirty_bytes(journal->volume_fd, offset, length);
        if (dirty > portion && length > 64 * KIB) {
            length /= 2;
            continue;
        }
        if (dirty)
            portion = write_portion(journal, offset, length, portion);
        offset += length;
        if (dirty <= portion / 2)
            length = least(length * 2, 1024ull * MIB);
    }
}

static void *checkpoint_thread(void *argument)
{
    struct journal *journal = argument;
    write_back_gently(journal);
    if (fdatasync(journal->volume_fd) < 0)
        die("fdatasync");
    eventfd_write(journal->done_fd, 1);
    return NULL;
}

void journal_checkpoint(struct journal *journal, bool hurry)
{
    pthread_t thread;
    if (hurry)
        atomic_store(&journal->hurry, true);
    if (journal->checkpointing)
        return;
    journal->checkpointing = true;
    journal->reached_lsn = journal->applied_lsn;
    if (pthread_create(&thread, NULL, checkpoint_thread, journal) || pthread_detach(thread))
        fail("no thread");
}

void journal_checkpointed(struct journal *journal)
{
    eventfd_t count;
    eventfd_read(journal->done_fd, &count);
    journal->checkpointing = false;
    atomic_store(&journal->hurry, false);
    journal->checkpoint_lsn = journal->reached_lsn;
    uint64_t kept = journal->end_lsn > journal->capacity_bytes / 2 ? journal->end_lsn - journal->capacity_bytes / 2 : 0;
    uint64_t tail = least(kept, least(journal->checkpoint_lsn, journal->retain_lsn));
    if (tail > journal->tail_lsn)
        journal->tail_lsn = tail;
    save_header(journal);
}

void journal_tick(struct journal *journal)
{
    if (now_ns() < journal->tick_ns)
        return;
    journal->tick_ns = now_ns() + CHECKPOINT_NS;
    if (journal->applied_lsn > journal->checkpoint_lsn)
        journal_checkpoint(journal, false);
}
