/* A stand-in gateway that is never the bottleneck: answers every request with the recorded reply that its model names.
 *
 *     gateway NAME:INTERVAL_MS:FILE ...       prints the port it listens on; ends when its standard input does
 *
 * {"model": "bench-NAME"} asks for FILE, a whole HTTP/1.1 reply, head and framing included: pieces, each behind its size (32 bits,
 * big-endian), each written by itself as a gateway writes events.  With an interval, one goes out at every tick, and 19 digits
 * behind an '@' in it become the moment it is written (CLOCK_MONOTONIC, ns); without one, all go as fast as they are taken.
 */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PIECE_LIMIT 4096
#define REPLIES_LIMIT 32

static const char UNKNOWN[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

struct connection {
    int fd, is_gone;
    char *in; /* what has arrived of the current request */
    size_t have, room;
    const char *out; /* what has still to be written of the current piece */
    size_t left;
    struct reply *reply;
    const char *rest; /* its pieces to come; NULL: none */
    int is_queued;
    int64_t due;
    struct connection *next;
    char piece[PIECE_LIMIT];
};

struct reply {
    const char *name;
    int64_t interval; /* ns; 0: all at once */
    char *bytes;
    size_t size;
    struct connection *first, *last; /* streams under way, by due time: all wait for the same interval */
};

static struct reply replies[REPLIES_LIMIT];
static int replies_count;

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

static void load_reply(char *argument)
{
    struct reply *r = &replies[replies_count++];
    if (replies_count > REPLIES_LIMIT) fail("too many replies");
    r->name = strtok(argument, ":");
    r->interval = atoll(strtok(NULL, ":")) * 1000000;
    FILE *file = fopen(strtok(NULL, ""), "rb");
    struct stat info;
    if (!file || fstat(fileno(file), &info)) fail(r->name);
    r->size = info.st_size;
    r->bytes = calloc(r->size + 1, 1);
    if (fread(r->bytes, 1, r->size, file) != r->size) fail(r->name);
    fclose(file);
}

static struct reply *named(const char *body, size_t size)
{
    const char *at = memmem(body, size, "bench-", 6);
    for (struct reply *r = replies; at && r < replies + replies_count; r++) {
        size_t length = strlen(r->name);
        if (at + 6 + length < body + size && !memcmp(at + 6, r->name, length) && at[6 + length] == '"') return r;
    }
    return NULL;
}

/* The size of the request at the beginning of `in`, or 0 while it is not all there. */
static size_t whole_request(struct connection *c, size_t *head)
{
    char *end = memmem(c->in, c->have, "\r\n\r\n", 4);
    if (!end) return 0;
    *head = end + 4 - c->in;
    *end = 0; /* makes the head a string for a moment */
    char *length = strcasestr(c->in, "\r\ncontent-length:"), *chunked = strcasestr(c->in, "\r\ntransfer-encoding:");
    *end = '\r';
    if (length) {
        size_t size = *head + strtoull(length + 17, NULL, 10);
        return c->have >= size ? size : 0;
    }
    if (!chunked) return *head;
    /* Nobody pipelines here, and a JSON body holds no CRLF: the last chunk is what the buffer ends with. */
    return c->have >= *head + 5 && !memcmp(c->in + c->have - 5, "0\r\n\r\n", 5) ? c->have : 0;
}

static void next_piece(struct connection *c)
{
    uint32_t size;
    memcpy(&size, c->rest, sizeof size);
    c->out = c->rest + sizeof size;
    c->left = be32toh(size);
    c->rest = c->out + c->left < c->reply->bytes + c->reply->size ? c->out + c->left : NULL;
}

static void stamp_piece(struct connection *c)
{
    if (c->left > PIECE_LIMIT) fail("a piece is too long");
    memcpy(c->piece, c->out, c->left);
    c->out = c->piece;
    char *stamp = memchr(c->piece, '@', c->left);
    if (stamp) {
        char digits[20];
        snprintf(digits, sizeof digits, "%019lld", (long long)now());
        memcpy(stamp + 1, digits, 19);
    }
}

/* Writes what can be written now: of a paced reply no more than the current piece. */
static void write_out(struct connection *c)
{
    for (;;) {
        while (c->left) {
            ssize_t n = send(c->fd, c->out, c->left, MSG_NOSIGNAL);
            if (n < 0) {
                c->is_gone |= errno != EAGAIN;
                return;
            }
            c->out += n;
            c->left -= n;
        }
        if (!c->rest || c->reply->interval) break;
        next_piece(c);
    }
    if (!c->rest) c->reply = NULL;
}

static void send_next(struct connection *c)
{
    next_piece(c);
    stamp_piece(c);
    write_out(c);
}

static void enqueue(struct connection *c, struct reply *r)
{
    c->is_queued = 1;
    c->due += r->interval;
    c->next = NULL;
    if (r->first) r->last->next = c;
    else r->first = c;
    r->last = c;
}

static void answer(struct connection *c, struct reply *r)
{
    if (!r) {
        c->out = UNKNOWN;
        c->left = sizeof UNKNOWN - 1;
        write_out(c);
        return;
    }
    c->reply = r;
    c->rest = r->bytes;
    if (!r->interval) {
        write_out(c);
        return;
    }
    c->due = now();
    send_next(c);
    enqueue(c, r);
}

static void dispose(struct connection *c)
{
    close(c->fd);
    free(c->in);
    free(c);
}

/* Sends what is due; returns how long (ns) until something is, or -1. */
static int64_t tick(void)
{
    int64_t wait = -1;
    for (struct reply *r = replies; r < replies + replies_count; r++) {
        struct connection *c;
        int64_t moment = now();
        while ((c = r->first) && c->due <= moment) {
            r->first = c->next;
            c->is_queued = 0;
            if (c->is_gone) {
                dispose(c);
                continue;
            }
            if (!c->left) send_next(c); /* else the reader is behind: it gets this piece a tick later */
            if (c->rest) enqueue(c, r);
        }
        if (c && (wait < 0 || c->due - moment < wait)) wait = c->due - moment;
    }
    return wait;
}

static void read_in(struct connection *c)
{
    for (;;) {
        if (c->room - c->have < 65536) c->in = realloc(c->in, c->room = c->room ? 2 * c->room : 65536 * 2);
        size_t asked = c->room - c->have;
        ssize_t n = recv(c->fd, c->in + c->have, asked, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN)) c->is_gone = 1;
        if (n > 0) c->have += n;
        if (n < (ssize_t)asked) break;
    }
    size_t head, size;
    while (!c->is_gone && !c->reply && (size = whole_request(c, &head))) {
        answer(c, named(c->in + head, size - head));
        memmove(c->in, c->in + size, c->have -= size);
    }
}

static int listening(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(fd, (struct sockaddr *)&address, size) || listen(fd, 4096)) fail("listen");
    getsockname(fd, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void accept_all(int listener, int epoll)
{
    int fd, yes = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct connection *c = calloc(1, sizeof *c);
        c->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        struct epoll_event event = {EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, {.ptr = c}};
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

int main(int count, char **arguments)
{
    for (int i = 1; i < count; i++) load_reply(arguments[i]);
    signal(SIGPIPE, SIG_IGN);
    int epoll = epoll_create1(0), listener = listening();
    struct epoll_event events[512];
    events[0] = (struct epoll_event){EPOLLIN, {.ptr = &listener}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, events);
    events[0] = (struct epoll_event){EPOLLIN, {.ptr = &epoll}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, events);
    for (;;) {
        int64_t wait = tick();
        struct timespec timeout = {wait / 1000000000, wait % 1000000000};
        int ready = epoll_pwait2(epoll, events, 512, wait < 0 ? NULL : &timeout, NULL);
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (events[i].data.ptr == &epoll) return 0;
            if (events[i].data.ptr == &listener) {
                accept_all(listener, epoll);
                continue;
            }
            if (events[i].events & EPOLLOUT) write_out(c);
            if (events[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) read_in(c);
            if (c->is_gone && !c->is_queued) dispose(c); /* else the tick that finds it does */
        }
    }
}
