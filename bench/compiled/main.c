/* Arguments, and what both sides need; see loop.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

#include "loop.h"

#define CRC_OF_ONES 0x33203417u              /* of 8,192 bytes 0xff: both ways through crc32c() */

void die(const char *what)
{
    fprintf(stderr, "loop: %s: %s\n", what, strerror(errno));
    exit(1);
}

void fail(const char *what)
{
    fprintf(stderr, "loop: %s\n", what);
    exit(1);
}

uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

int wait_ms(uint64_t due_ns)
{
    uint64_t now = now_ns();
    return due_ns > now ? (int)((due_ns - now + 999999) / 1000000) : 0;
}

void epoll_set(int epoll, int operation, int fd, bool reading, bool writing, uint32_t tag)
{
    struct epoll_event event = {.events = (reading ? EPOLLIN : 0u) | (writing ? EPOLLOUT : 0u), .data.u32 = tag};
    if (epoll_ctl(epoll, operation, fd, &event) < 0)
        die("epoll");
}

int link_socket(int fd)
{
    int size = 4 * MIB, one = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size) < 0
            || setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size) < 0
            || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0
            || fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
        die("link");
    return fd;
}

int main(int count, char **words)
{
    if (!__builtin_cpu_supports("sse4.2"))
        fail("this processor has no instruction for CRC32C");
    crc32c_begin();
    static uint8_t ones[8192];
    memset(ones, 0xff, sizeof ones);
    if (crc32c("123456789", 9) != 0xe3069283 || crc32c(ones, sizeof ones) != CRC_OF_ONES)
        fail("CRC32C is wrong");
    if ((count == 6 || count == 7) && !strcmp(words[1], "primary"))
        primary_run(words[2], words[3], words[4], words[5], count == 7 ? atoi(words[6]) : 0);
    if (count == 5 && !strcmp(words[1], "secondary"))
        secondary_run(words[2], words[3], atoi(words[4]));
    fail("loop primary VOLUME RING NBD-SOCKET CONTROL-SOCKET [SECONDARY-PORT] | loop secondary VOLUME RING PORT");
}
