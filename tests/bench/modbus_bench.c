/* The other ends of bench_modbus.py: a gateway with several units, and a bare client, over plain sockets.
 *
 *   modbus_bench serve FIRST_DEAD MICROSECONDS    listen on a free port (printed); units from FIRST_DEAD on are silent
 *   modbus_bench ask PORT SECONDS COUNT           read COUNT registers of unit 1 again and again; prints how often
 *
 * The gateway takes so many microseconds for each request, one after another, as a serial line behind it would.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { HEADER = 7, CLIENTS = 64, FRAME = 300 };

struct client {
    int fd;
    size_t used;
    uint8_t bytes[4 * FRAME];
};

static unsigned word(const uint8_t *at) { return (unsigned)at[0] << 8 | at[1]; }

static void put(uint8_t *at, unsigned value) {
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* Even registers hold the high half of a float of 128 or more that tells the unit, odd ones 0. */
static unsigned register_of(unsigned unit, unsigned address) { return address % 2 ? 0 : 0x4300 + unit; }

static void no_delay(int fd) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static int send_all(int fd, const uint8_t *bytes, size_t size) { return write(fd, bytes, size) == (ssize_t)size; }

static int receive_all(int fd, uint8_t *bytes, size_t size) {
    for (size_t got = 0; got < size;) {
        ssize_t more = read(fd, bytes + got, size - got);
        if (more <= 0) return 0;
        got += (size_t)more;
    }
    return 1;
}

static int answer(int fd, const uint8_t *request, unsigned first_dead, useconds_t pause_us) {
    unsigned unit = request[6], fc = request[7], address = word(request + 8), count = word(request + 10);
    uint8_t frame[FRAME];
    if (pause_us) usleep(pause_us);
    if (unit >= first_dead) return 1;
    memcpy(frame, request, HEADER + 1);
    if ((fc != 3 && fc != 4) || count < 1 || count > 125) {
        put(frame + 4, 3);
        frame[7] = (uint8_t)(fc | 0x80);
        frame[8] = 1;
        return send_all(fd, frame, 9);
    }
    put(frame + 4, 3 + 2 * count);
    frame[8] = (uint8_t)(2 * count);
    for (unsigned i = 0; i < count; i++) put(frame + 9 + 2 * i, register_of(unit, address + i));
    return send_all(fd, frame, 9 + 2 * count);
}

/* Answer every whole request a client has sent; 0 when it is gone. */
static int hear(struct client *one, unsigned first_dead, useconds_t pause_us) {
    ssize_t got = read(one->fd, one->bytes + one->used, sizeof one->bytes - one->used);
    if (got <= 0) return 0;
    one->used += (size_t)got;
    while (one->used >= 12) {
        size_t size = 6 + word(one->bytes + 4);
        if (size < 12 || size > FRAME) return 0;
        if (one->used < size) break;
        if (!answer(one->fd, one->bytes, first_dead, pause_us)) return 0;
        one->used -= size;
        memmove(one->bytes, one->bytes + size, one->used);
    }
    return 1;
}

static int serve(unsigned first_dead, useconds_t pause_us) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof at;
    static struct client clients[CLIENTS];
    struct pollfd ready[CLIENTS + 1];
    int count = 0, listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, CLIENTS)) return 1;
    getsockname(listener, (struct sockaddr *)&at, &length);
    printf("%d\n", ntohs(at.sin_port));
    fflush(stdout);
    for (;;) {
        ready[0] = (struct pollfd){listener, POLLIN, 0};
        for (int i = 0; i < count; i++) ready[i + 1] = (struct pollfd){clients[i].fd, POLLIN, 0};
        if (poll(ready, (nfds_t)count + 1, -1) < 0) return 1;
        for (int i = count - 1; i >= 0; i--) {
            if (ready[i + 1].revents && !hear(&clients[i], first_dead, pause_us)) {
                close(clients[i].fd);
                clients[i] = clients[--count];
            }
        }
        if (ready[0].revents && count < CLIENTS) {
            clients[count] = (struct client){.fd = accept(listener, NULL, NULL)};
            no_delay(clients[count++].fd);
        }
    }
}

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int ask(unsigned port, double seconds, unsigned count) {
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    unsigned number = 0;
    double end_s = now_s() + seconds;
    if (connect(fd, (struct sockaddr *)&at, sizeof at)) return 1;
    no_delay(fd);
    while (now_s() < end_s) {
        uint8_t request[12] = {0, 0, 0, 0, 0, 6, 1, 3}, reply[FRAME];
        put(request, ++number & 0xFFFF);
        put(request + 10, count);
        if (!send_all(fd, request, sizeof request) || !receive_all(fd, reply, 9 + 2 * count)) return 1;
        if (memcmp(request, reply, 4) || reply[6] != 1 || reply[7] != 3 || reply[8] != 2 * count) return 1;
    }
    printf("%u\n", number);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 4 && !strcmp(argv[1], "serve")) return serve((unsigned)atoi(argv[2]), (useconds_t)atoi(argv[3]));
    if (argc == 5 && !strcmp(argv[1], "ask")) return ask((unsigned)atoi(argv[2]), atof(argv[3]), (unsigned)atoi(argv[4]));
    fprintf(stderr, "usage: modbus_bench serve FIRST_DEAD MICROSECONDS | ask PORT SECONDS COUNT\n");
    return 2;
}
