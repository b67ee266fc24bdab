/* SPDX-License-Identifier: MIT */
/*
 * event_log.c: see event_log.h.  The log is what standard error is when the relay starts: a file that the plan names, or
 * the container's log.
 *
 * The lines of one turn of the loop are written together, at its end, or when the next one does not fit.
 *
 * If the log is a pipe that is full, lines are dropped and counted; the next line that can be written says
 * how many.  If it is a file that has reached its limit, only the newest lines are kept, so that an agent
 * that connects for ever does not fill the disk.
 *
 * After a takeover the old relay writes to the same file until it has drained.  Both append whole lines
 * (O_APPEND).  Only the relay that serves shortens the file, under a lock that the other takes for each
 * write (fcntl(2), F_OFD_SETLK), so that no line is torn or lost unnoticed.  Nobody waits for the lock: if it
 * is taken, lines are dropped and counted, or the file is shortened later.
 *
 * Libraries may print on standard error.  So the log is moved to another descriptor, and standard error
 * becomes a pipe to the relay itself, which writes what it reads there as an event.
 */
#include "relay/base/event_log.h"

#include "relay/base/sanitized.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TIME_SIZE         25  /* "2026-01-31T23:59:59.999Z" */
#define LIBRARY_TEXT_SIZE 600 /* fits an event also when every byte is escaped with six */

/* ---- one event ---- */

static void put_digits(char *to, int64_t value, size_t count)
{
    while (count-- > 0) {
        to[count] = (char)('0' + value % 10);
        value /= 10;
    }
}

/* gmtime_r(3) is not for signal handlers.  A year begins in March here, so that the leap day is its last;
   400 of them have the same length always (proleptic Gregorian calendar). */
static void put_time(char text[TIME_SIZE])
{
    enum { DAY_S = 86400, DAYS_400_YEARS = 146097, DAYS_100_YEARS = 36524, DAYS_4_YEARS = 1461 };
    enum { MARCH_OF_YEAR_0 = 719468 }; /* days before 1970 */
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now); /* only shown to people */
    int64_t seconds = now.tv_sec > 0 ? now.tv_sec : 0;
    int64_t days = seconds / DAY_S + MARCH_OF_YEAR_0;
    int64_t year = days / DAYS_400_YEARS * 400;

    days %= DAYS_400_YEARS;
    int64_t century =
        days / DAYS_100_YEARS < 4 ? days / DAYS_100_YEARS : 3; /* the last one has one more day */
    days -= century * DAYS_100_YEARS;
    int64_t four = days / DAYS_4_YEARS;
    days -= four * DAYS_4_YEARS;
    int64_t single = days / 365 < 4 ? days / 365 : 3; /* the last one has one more day */
    days -= single * 365;
    year += 100 * century + 4 * four + single;
    int64_t month = (5 * days + 2) / 153; /* from March; five months have 153 days */
    days -= (153 * month + 2) / 5;

    memcpy(text, "YYYY-MM-DDThh:mm:ss.mmmZ", TIME_SIZE);
    put_digits(text, month < 10 ? year : year + 1, 4);
    put_digits(text + 5, month < 10 ? month + 3 : month - 9, 2);
    put_digits(text + 8, days + 1, 2);
    put_digits(text + 11, seconds % DAY_S / 3600, 2);
    put_digits(text + 14, seconds % 3600 / 60, 2);
    put_digits(text + 17, seconds % 60, 2);
    put_digits(text + 20, now.tv_nsec / 1000000, 3);
}

void event_begin(struct json_out *out, char buffer[EVENT_SIZE], const char *event)
{
    char text[TIME_SIZE];

    put_time(text);
    json_out_init(out, buffer, EVENT_SIZE - 1); /* with room for the newline */
    json_out_begin(out, NULL, '{');
    json_out_string(out, "time", text);
    json_out_string(out, "event", event);
}

/* ---- the file ---- */

/* Moves the lines that lie wholly after from to the start of the file.  Returns its new size. */
static off_t keep_newest(struct event_log *log, off_t from)
{
    off_t to = 0;
    bool at_line = false;

    for (;;) {
        char *bytes = log->buffer->bytes;
        ssize_t length = pread(log->fd, bytes, IO_BUFFER_SIZE, from);
        if (length <= 0)
            break;
        from += length;
        if (!at_line) {
            char *newline = memchr(bytes, '\n', (size_t)length);
            if (!newline)
                continue;
            at_line = true;
            length -= newline + 1 - bytes;
            bytes = newline + 1;
        }
        if (pwrite(log->fd, bytes, (size_t)length, to) != length)
            break;
        to += length;
    }
    return to;
}

/*
 * Does not wait; false: another relay has the lock.  On a file system without locks it succeeds.
 * @type: F_RDLCK to append, F_WRLCK to shorten, F_UNLCK
 */
static bool lock_file(const struct event_log *log, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET};

    return !fcntl(log->fd, F_OFD_SETLK, &lock) || (errno != EAGAIN && errno != EACCES);
}

/*
 * Checks the size whenever half of the limit has been written, and shortens the file to at most half of it.
 * As pwrite(2) ignores its offset with O_APPEND, that flag is cleared meanwhile.
 */
static void bound_file(struct event_log *log, size_t next_length)
{
    const off_t half = log->max_bytes / 2;
    struct stat file;
    int flags;

    log->bytes_checked += next_length;
    if (log->bytes_checked <= (size_t)half)
        return;
    if (!lock_file(log, F_WRLCK))
        return; /* tried again before the next line */
    log->bytes_checked = next_length;
    flags = fcntl(log->fd, F_GETFL);
    if (!fstat(log->fd, &file) && file.st_size > half && flags >= 0 &&
        !fcntl(log->fd, F_SETFL, flags & ~O_APPEND)) {
        if (ftruncate(log->fd, keep_newest(log, file.st_size - half)))
            log->lost++;
        (void)fcntl(log->fd, F_SETFL, flags); /* cannot fail: it had these flags before */
    }
    (void)lock_file(log, F_UNLCK);
}

/* Returns how many bytes were written. */
static size_t append(const struct event_log *log, const char *lines, size_t length)
{
    ssize_t written = write(log->fd, lines, length);

    return written > 0 ? (size_t)written : 0;
}

static size_t append_to_file(struct event_log *log, const char *lines, size_t length)
{
    if (log->may_shorten) {
        bound_file(log, length);
        return append(log, lines, length);
    }
    if (!lock_file(log, F_RDLCK))
        return 0;
    size_t written = append(log, lines, length);
    (void)lock_file(log, F_UNLCK);
    return written;
}

/*
 * Removes a partial line, which the next line would otherwise continue; unless another relay has written to the
 * file since.
 */
static void take_back(const struct event_log *log, const char *part, size_t length)
{
    char last[PIPE_BUF];
    struct stat file;

    if (length == 0 || !lock_file(log, F_WRLCK))
        return;
    if (!fstat(log->fd, &file) && file.st_size >= (off_t)length &&
        pread(log->fd, last, length, file.st_size - (off_t)length) == (ssize_t)length &&
        memcmp(last, part, length) == 0)
        (void)!ftruncate(log->fd,
                         file.st_size - (off_t)length); /* on failure the partial line remains */
    (void)lock_file(log, F_UNLCK);
}

/* Returns how many lines are lost.  A full disk takes a part of them, a pipe all or none. */
static size_t write_lines(struct event_log *log, const char *lines, size_t length)
{
    size_t written = log->in_file ? append_to_file(log, lines, length) : append(log, lines, length);
    size_t lost = 0, part = 0;

    while (part < written && lines[written - 1 - part] != '\n')
        part++;
    if (log->in_file)
        take_back(log, lines + written - part, part);
    for (size_t i = written; i < length; i++)
        lost += lines[i] == '\n';
    return lost;
}

static bool end_line(struct json_out *out)
{
    json_out_end(out, '}');
    if (out->overflow)
        return false;
    out->buffer[out->length++] = '\n';
    return true;
}

static void tell_loss(struct event_log *log)
{
    char buffer[EVENT_SIZE];
    struct json_out out;

    event_begin(&out, buffer, "events-lost");
    json_out_integer(&out, "count", (int64_t)log->lost);
    if (end_line(&out) && write_lines(log, out.buffer, out.length) == 0)
        log->lost = 0;
}

void event_log_write(struct event_log *log)
{
    if (log->length == 0)
        return;
    if (log->lost > 0)
        tell_loss(log);
    log->lost += write_lines(log, log->lines, log->length);
    log->length = 0;
}

void event_end(struct event_log *log, struct json_out *out)
{
    if (!end_line(out)) {
        log->lost++;
        return;
    }
    if (log->length + out->length > sizeof log->lines)
        event_log_write(log);
    memcpy(log->lines + log->length, out->buffer, out->length);
    log->length += out->length;
    if (!log->together)
        event_log_write(log);
}

void event_notice(struct event_log *log, const char *event, const char *message)
{
    char buffer[EVENT_SIZE];
    struct json_out out;

    event_begin(&out, buffer, event);
    json_out_string(&out, "message", message);
    event_end(log, &out);
}

/* ---- setting up ---- */

/* Lowers the limit of the log to RLIMIT_FSIZE, beyond which the file cannot grow. */
static bool note_file_limit(struct event_log *log)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_FSIZE, &limit))
        return false;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_FSIZE, &limit))
            return false;
    }
    if (limit.rlim_cur < (rlim_t)log->max_bytes)
        log->max_bytes = (int32_t)limit.rlim_cur;
    return true;
}

static void library_wrote(struct watch *watch, uint32_t events)
{
    struct event_log *log = container_of(watch, struct event_log, library_text);
    char text[LIBRARY_TEXT_SIZE];
    ssize_t length = read(watch->fd, text, sizeof text - 1);

    (void)events;
    if (length <= 0)
        return;
    while (length > 0 && text[length - 1] == '\n')
        length--;
    text[length] = '\0';
    event_notice(log, "library-message", text);
}

static bool take_standard_error(struct event_log *log, struct loop *loop)
{
    int pair[2];

    log->fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (log->fd < 0 || pipe2(pair, O_CLOEXEC | O_NONBLOCK))
        return false;
    log->library_text = (struct watch){.fd = pair[0], .ready = library_wrote};
    bool taken = dup2(pair[1], STDERR_FILENO) == STDERR_FILENO;
    (void)close(pair[1]);
    return taken && !loop_add(loop, &log->library_text, EPOLLIN);
}

bool event_log_set_up(struct event_log *log, struct loop *loop)
{
    int flags = fcntl(log->fd, F_GETFL);
    struct stat file;

    log->in_file = !fstat(log->fd, &file) && S_ISREG(file.st_mode);
    /* A pipe or terminal that is full must not block the relay. */
    if (flags < 0 || fcntl(log->fd, F_SETFL, flags | O_NONBLOCK))
        return false;
    if (log->in_file && !note_file_limit(log))
        return false;
    /* A sanitizer reports when the process ends, and then nobody reads the pipe any more. */
    return SANITIZED || take_standard_error(log, loop);
}
