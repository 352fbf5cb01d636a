/* A load generator: many clients, each sending the same request again when its reply has come; every byte of every reply is checked.
 *
 *     load PORT REQUEST_FILE BODY_FILE CLIENTS SECONDS SPREAD_MS PATIENCE_SECONDS       prints one JSON object
 *
 * REQUEST_FILE holds a whole HTTP/1.1 request, BODY_FILE the body that its replies must have.  Clients begin at moments of their own
 * within SPREAD_MS, by chance but the same in every run: in step, the events of their streams would come in bursts.  They send nothing
 * new after SECONDS; what has not ended PATIENCE_SECONDS later is `unfinished`.  19 digits behind an '@' in a reply are the moment at
 * which the gateway wrote them (CLOCK_MONOTONIC, ns): read as latency, compared as zeros.
 *
 * `failed`: a reply that was no 200 or was broken off.  `different`: whole, but not these bytes.  Latencies are in milliseconds.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HEAD_LIMIT 16384
#define FAILURES_LIMIT 1000
#define STAMP_DIGITS 19

enum framing { HEAD, LENGTH, UNTIL_CLOSED, CHUNK_SIZE, CHUNK, CHUNK_END, TRAILER };

struct client {
    int fd, is_busy, is_fresh; /* fresh: nothing has been asked on this connection before */
    size_t sent;
    int64_t begun; /* 0: not yet; the time at which this request's first byte was sent */
    enum framing framing;
    char head[HEAD_LIMIT];
    size_t head_size;
    int is_ok, is_same, closes, is_line_empty;
    uint64_t left; /* of the body, or of its chunk */
    size_t at;     /* how much of the body has come */
    int digits;    /* of a stamp, still to come */
    int64_t stamp;
};

struct samples {
    int64_t *values;
    size_t count, room;
};

static struct samples first_byte, whole, event;
static long requests, failed, different;
static char *request, *body;
static size_t request_size, body_size;
static int epoll;
static struct sockaddr_in target = {.sin_family = AF_INET};

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void sample(struct samples *s, int64_t value)
{
    if (s->count == s->room) s->values = realloc(s->values, (s->room = s->room ? 2 * s->room : 4096) * sizeof *s->values);
    s->values[s->count++] = value;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void print_samples(const char *name, struct samples *s)
{
    qsort(s->values, s->count, sizeof *s->values, by_value);
    printf(", \"%s\": ", name);
    if (!s->count) printf("null");
    else printf("{\"p50\": %.4f, \"p99\": %.4f}", s->values[s->count / 2] / 1e6, s->values[s->count * 99 / 100] / 1e6);
}

static char *contents(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    struct stat info;
    if (!file || fstat(fileno(file), &info)) fail(path);
    char *bytes = malloc(info.st_size + 1);
    *size = fread(bytes, 1, info.st_size, file);
    fclose(file);
    return bytes;
}

static void dial(struct client *c)
{
    int yes = 1;
    if (c->fd) close(c->fd);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0) fail("socket");
    c->is_fresh = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (connect(c->fd, (struct sockaddr *)&target, sizeof target) && errno != EINPROGRESS) fail("connect");
    struct epoll_event ready = {EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, {.ptr = c}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &ready);
}

static void write_request(struct client *c)
{
    while (c->sent < request_size) {
        ssize_t n = send(c->fd, request + c->sent, request_size - c->sent, MSG_NOSIGNAL);
        if (n < 0) return; /* not now, or never: reading tells which */
        c->sent += n;
    }
}

static void ask(struct client *c)
{
    c->is_busy = 1;
    c->sent = c->at = c->head_size = 0;
    c->digits = 0;
    c->framing = HEAD;
    c->is_same = 1;
    c->begun = now();
    write_request(c);
}

/* Reads the stamps and leaves zeros where they were. */
static void take_stamps(struct client *c, char *bytes, size_t size)
{
    for (char *p = bytes, *end = bytes + size; p < end;) {
        if (!c->digits) {
            if (!(p = memchr(p, '@', end - p))) break;
            p++;
            c->digits = STAMP_DIGITS;
            c->stamp = 0;
            continue;
        }
        if (!isdigit((unsigned char)*p)) { /* no stamp after all */
            c->digits = 0;
            continue;
        }
        c->stamp = 10 * c->stamp + *p - '0';
        *p++ = '0';
        if (--c->digits == 0 && c->stamp) sample(&event, now() - c->stamp);
    }
}

static void check(struct client *c, char *bytes, size_t size)
{
    take_stamps(c, bytes, size);
    if (c->at + size > body_size || memcmp(body + c->at, bytes, size)) c->is_same = 0;
    c->at += size;
}

/* Reads the head, if it is complete; returns how much of `bytes` belonged to it. */
static size_t read_head(struct client *c, const char *bytes, size_t size)
{
    size_t before = c->head_size, take = size < HEAD_LIMIT - 1 - before ? size : HEAD_LIMIT - 1 - before;
    memcpy(c->head + before, bytes, take);
    c->head_size += take;
    char *end = memmem(c->head, c->head_size, "\r\n\r\n", 4);
    if (!end) return take;
    *end = 0;
    c->is_ok = c->head_size > 12 && !memcmp(c->head + 9, "200", 3);
    c->closes = strcasestr(c->head, "\r\nconnection: close") != NULL;
    char *length = strcasestr(c->head, "\r\ncontent-length:");
    if (strcasestr(c->head, "\r\ntransfer-encoding: chunked")) {
        c->framing = CHUNK_SIZE;
        c->left = 0;
    } else if (length) {
        c->framing = LENGTH;
        c->left = strtoull(length + 17, NULL, 10);
    } else {
        c->framing = UNTIL_CLOSED;
        c->closes = 1;
    }
    return end + 4 - c->head - before;
}

/* Takes some bytes of a reply; true when its last one was among them. */
static int take(struct client *c, char *bytes, size_t size)
{
    char *p = bytes, *end = bytes + size;
    if (c->framing == HEAD) {
        p += read_head(c, p, size);
        if (c->framing == LENGTH && !c->left) return 1;
    }
    while (p < end) {
        size_t n = end - p;
        switch (c->framing) {
        case HEAD:
            return 0;
        case UNTIL_CLOSED:
            check(c, p, n);
            return 0;
        case LENGTH:
        case CHUNK:
            if (n > c->left) n = c->left;
            check(c, p, n);
            p += n;
            c->left -= n;
            if (!c->left && c->framing == LENGTH) return 1;
            if (!c->left) c->framing = CHUNK_END;
            break;
        case CHUNK_SIZE:
            if (isxdigit((unsigned char)*p)) c->left = 16 * c->left + (isdigit((unsigned char)*p) ? *p - '0' : (*p | 32) - 'a' + 10);
            if (*p++ == '\n') {
                c->framing = c->left ? CHUNK : TRAILER;
                c->is_line_empty = 1;
            }
            break;
        case CHUNK_END:
            if (*p++ == '\n') c->framing = CHUNK_SIZE;
            break;
        case TRAILER:
            if (*p == '\n' && c->is_line_empty) return 1;
            if (*p == '\n') c->is_line_empty = 1;
            else if (*p != '\r') c->is_line_empty = 0;
            p++;
        }
    }
    return 0;
}

/* The reply has ended, whole or not. */
static void finish(struct client *c, int is_whole, int may_ask)
{
    c->is_busy = c->is_fresh = 0;
    if (!is_whole || !c->is_ok) {
        failed++;
    } else {
        requests++;
        different += !c->is_same || c->at != body_size;
        sample(&whole, now() - c->begun);
    }
    if (failed > FAILURES_LIMIT) return;
    if (!is_whole || c->closes) dial(c);
    if (may_ask) ask(c);
}

static void read_reply(struct client *c, int may_ask)
{
    static char bytes[262144];
    for (;;) {
        ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) {
            if (!c->is_busy) return;
            if (!c->head_size && !c->is_fresh) { /* the connection had been closed before this request: no fault of anybody's */
                dial(c);
                ask(c);
            } else {
                finish(c, n == 0 && c->framing == UNTIL_CLOSED, may_ask);
            }
            return;
        }
        if (!c->is_busy) return;
        if (!c->head_size) sample(&first_byte, now() - c->begun);
        if (take(c, bytes, n)) {
            finish(c, 1, may_ask);
            return; /* the next reply is an event of its own */
        }
        if (n < (ssize_t)sizeof bytes) return;
    }
}

/* When each client begins, ascending. */
static int64_t *beginnings(int count, int64_t start, int64_t spread)
{
    int64_t *moments = malloc(count * sizeof *moments);
    srand48(1);
    for (int i = 0; i < count; i++) moments[i] = start + (int64_t)(drand48() * spread);
    qsort(moments, count, sizeof *moments, by_value);
    return moments;
}

int main(int count, char **arguments)
{
    if (count != 8) return 2;
    target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    target.sin_port = htons(atoi(arguments[1]));
    request = contents(arguments[2], &request_size);
    body = contents(arguments[3], &body_size);
    int clients_count = atoi(arguments[4]);
    struct client *clients = calloc(clients_count, sizeof *clients);
    take_stamps(clients, body, body_size); /* a compressed body may hold what looks like a stamp */
    int64_t start = now(), stop = start + (int64_t)(atof(arguments[5]) * 1e9), spread = atoll(arguments[6]) * 1000000;
    int64_t patience = stop + (int64_t)(atof(arguments[7]) * 1e9);
    int64_t *moments = beginnings(clients_count, start, spread);
    int begun = 0, busy = 1;
    struct epoll_event events[512];
    epoll = epoll_create1(0);
    while (now() < patience && failed <= FAILURES_LIMIT && (begun < clients_count || busy)) {
        while (begun < clients_count && now() >= moments[begun]) {
            dial(&clients[begun]);
            ask(&clients[begun++]);
        }
        int64_t wait = begun < clients_count ? moments[begun] - now() : 100000000; /* ns */
        if (wait < 0) wait = 0;
        struct timespec timeout = {wait / 1000000000, wait % 1000000000};
        int ready = epoll_pwait2(epoll, events, 512, &timeout, NULL);
        for (int i = 0; i < ready; i++) {
            struct client *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT && c->is_busy) write_request(c);
            if (events[i].events & ~(uint32_t)EPOLLOUT) read_reply(c, now() < stop);
        }
        busy = 0;
        for (int i = 0; i < begun && !busy; i++) busy = clients[i].is_busy;
    }
    long unfinished = clients_count - begun;
    for (int i = 0; i < begun; i++) unfinished += clients[i].is_busy;
    printf("{\"requests\": %ld, \"failed\": %ld, \"different\": %ld, \"unfinished\": %ld, \"seconds\": %.4f, \"stamps\": %zu", requests, failed,
           different, unfinished, (now() - start) / 1e9, event.count);
    print_samples("first_byte_ms", &first_byte);
    print_samples("whole_ms", &whole);
    print_samples("event_ms", &event);
    printf("}\n");
    return 0;
}
