/* A measuring instrument, not a product: volrep's data path as a compiled loop, to tell what Python costs.
 *
 * It makes the system calls that volrep's worker makes for the same batch (backend/volrep: nbd, rvg, log, link,
 * volume), writes the same log records and frames, checks the same checksums and promises the same: a completed write
 * is durable in the ring here and, synchronous, in the Secondary's memory. It has what fio needs to be served and
 * nothing else: no recovery, no reconnecting, no identity, no statistics, no second volume, no first copy. What goes
 * wrong ends the program. `python -m bench --compiled` runs it and compares the copies.
 *
 *     loop primary   VOLUME RING NBD-SOCKET CONTROL-SOCKET [SECONDARY-PORT]
 *     loop secondary VOLUME RING PORT
 *
 * One line to the control socket, one line back: "status" (end, network ack, data ack, applied there), "sync", "async",
 * "pause", "resume".
 */
#ifndef LOOP_H
#define LOOP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define KIB 1024u
#define MIB (1024u * KIB)
#define PAGE_BYTES 4096u
#define IOV_ONE_CALL 1024
#define RECORD_HEADER_BYTES 64u
#define PAYLOAD_MAX_BYTES MIB
#define RECORDS_MAX 16384
#define FRAME_HEADER_BYTES 32u
#define LOG_BODY_MAX MIB

/* main.c */
_Noreturn void die(const char *what);   /* with errno's text */
_Noreturn void fail(const char *what);
uint64_t now_ns(void);                  /* monotonic */
void epoll_set(int epoll, int operation, int fd, bool reading, bool writing, uint32_t tag);
int wait_ms(uint64_t due_ns);           /* epoll's timeout, rounded up as Python does; 0: nothing is due */
int link_socket(int fd);                /* sizes and options of a link's socket; returns fd */

/* crc32c.c */
void crc32c_begin(void);
uint32_t crc32c(const void *data, size_t length);

/* journal.c: the ring (SRL) and the volume of one side */
struct write {
    uint64_t offset, lsn_end, cookie;
    uint32_t length, client;
    uint8_t *payload;
};

struct journal {
    int ring_fd, volume_fd, done_fd;    /* done_fd: a checkpoint's sync is over */
    uint64_t volume_bytes, capacity_bytes;
    uint64_t end_lsn, applied_lsn, checkpoint_lsn, tail_lsn, retain_lsn;
    uint64_t reached_lsn, tick_ns;
    unsigned slot;
    bool checkpointing;
    atomic_bool hurry;
};

void journal_open(struct journal *journal, const char *volume, const char *ring);
bool journal_has_room(struct journal *journal, uint64_t length);
/* `iov` has room for one more entry; durable on return. */
void journal_append(struct journal *journal, struct iovec *iov, int count, uint64_t length);
void journal_apply(struct journal *journal, const struct write *writes, int count);
void journal_checkpoint(struct journal *journal, bool hurry);
void journal_checkpointed(struct journal *journal);
void journal_tick(struct journal *journal);
uint64_t ring_offset(const struct journal *journal, uint64_t lsn);
uint64_t ring_to_edge(const struct journal *journal, uint64_t lsn);

/* record.c: bytes as docs/formats.md has them */
void record_header(uint8_t *header, const struct write *write, uint64_t lsn, uint64_t time_ns, uint64_t durable_lsn);
/* Checks one record that begins at `view`; its length, or 0 when it is not complete. */
uint64_t record_check(const uint8_t *view, uint64_t available, uint64_t lsn, struct write *found);
enum frame_type { FRAME_LOG = 5, FRAME_COMMIT = 6, FRAME_ACK = 7 };
void frame_header(uint8_t *header, enum frame_type type, uint32_t length, uint64_t lsn, uint64_t aux,
                  uint32_t body_crc);

struct reader {                         /* cuts frames out of a stream: header, then body */
    uint8_t header[FRAME_HEADER_BYTES], small[8];
    uint8_t *target;
    uint32_t wanted, filled, type, length, body_crc;
    bool in_body;
    uint64_t lsn, aux;
};
void reader_begin(struct reader *reader);
/* One receive; true when a frame is complete. `*empty`: nothing is there now. A LOG's body goes where `space` says. */
bool reader_receive(struct reader *reader, int fd, uint8_t *(*space)(uint64_t lsn, uint32_t length), bool *empty);

static inline uint64_t record_bytes(uint64_t payload) { return RECORD_HEADER_BYTES + ((payload + 7) & ~7ull); }
static inline uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* nbd.c: clients, their requests and replies */
#define CLIENTS_MAX 8
void nbd_listen(const char *path, uint64_t volume_bytes, int volume_fd, int epoll);
bool nbd_event(uint32_t tag, uint32_t events);          /* false: not one of its tags */
void nbd_reply_write(uint32_t client, uint64_t cookie);
void nbd_flush(void);                                   /* one send to each client that was replied to */
void nbd_release(void);                                 /* the batch is done with the receive buffers */
bool nbd_resume(void);                                  /* what had to wait goes on; whether anything did */

/* primary.c, secondary.c */
/* False when the batch is full. */
bool primary_add(uint32_t client, uint64_t cookie, uint64_t offset, uint32_t length, uint8_t *payload);
bool primary_full(void);
_Noreturn void primary_run(const char *volume, const char *ring, const char *nbd, const char *control, int port);
_Noreturn void secondary_run(const char *volume, const char *ring, int port);

enum tag { TAG_DONE = 1, TAG_LINK, TAG_CONTROL, TAG_NBD, TAG_CLIENT };  /* TAG_CLIENT + n: client n */

#endif
