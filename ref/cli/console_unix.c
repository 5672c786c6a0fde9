/* SPDX-License-Identifier: MIT */
/* console.h for POSIX systems. */
#define _DARWIN_C_SOURCE
#define _DEFAULT_SOURCE /* struct winsize */

#include "console.h"

#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    PIECE_SIZE = 4096,    /* what a pipe takes without waiting when it is writable */
    BACKGROUND_MS = 1000, /* how often to ask whether the terminal is ours again */
    NAME_LEFT_MS = 300,   /* how long a server may take from closing a connection to its name */
    NAME_LEFT_STEP_MS = 10,
    COLUMNS_DEFAULT = 80,
    COLUMNS_MIN = 20,
};

static void (*stop_now)(void);
/* A signal writes a byte to stop_pipe[1], which nobody reads: a wait that begins after the signal
 * ends as well. */
static int stop_pipe[2] = {-1, -1};
static bool has_no_output; /* standard output was closed at start: what is printed is dropped */
static bool unicode;

/* --- start ------------------------------------------------------------------------------------ */

static bool reads_utf8(void)
{
    bool utf8;

    setlocale(LC_CTYPE, "");
    utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    setlocale(LC_CTYPE, "C");
    return utf8;
}

void console_begin(void)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF) {
            has_no_output = has_no_output || fd == STDOUT_FILENO;
            /* The lowest number that is free is this one. Where there is no /dev/null, a directory
             * takes the number: it reads as an end of input. */
            if (open("/dev/null", O_RDWR) < 0) {
                (void)!open("/", O_RDONLY);
            }
        }
    }
    /* Writing to a pipe that nobody reads fails instead of ending the program. */
    sigaction(SIGPIPE, &ignore, NULL);
    /* A job in the background that reads from its terminal gets EIO instead of being stopped. */
    sigaction(SIGTTIN, &ignore, NULL);
    unicode = reads_utf8();
}

/* --- signals ---------------------------------------------------------------------------------- */

static void handle_signal(int signal)
{
    const int saved_errno = errno;

    (void)signal;
    (void)!write(stop_pipe[1], "", 1); /* a full pipe says the same */
    if (stop_now != NULL) {
        stop_now();
    }
    errno = saved_errno;
}

bool console_on_stop(void (*stop)(void))
{
    const struct sigaction action = {.sa_handler = handle_signal};
    struct sigaction before;

    stop_now = stop;
    if (stop_pipe[0] < 0 && pipe(stop_pipe) != 0) {
        return false;
    }
    for (int i = 0; i < 2; i++) {
        (void)!fcntl(stop_pipe[i], F_SETFL, O_NONBLOCK);
        (void)!fcntl(stop_pipe[i], F_SETFD, FD_CLOEXEC);
    }
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN) {
        sigaction(SIGHUP, &action, NULL); /* nohup ignores it on purpose */
    }
    return true;
}

bool console_is_stopped(void)
{
    struct pollfd look = {.fd = stop_pipe[0], .events = POLLIN};

    return poll(&look, 1, 0) > 0;
}

/* --- waiting ---------------------------------------------------------------------------------- */

int64_t console_clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t console_clock_ms(void)
{
    return console_clock_ns() / 1000000;
}

/* Whether standard input is a terminal that another job has. */
static bool is_in_background(void)
{
    const pid_t foreground = tcgetpgrp(STDIN_FILENO);

    return foreground >= 0 && foreground != getpgrp();
}

unsigned console_wait(const intptr_t *fds, size_t count, unsigned watched, int32_t timeout_ms)
{
    struct pollfd looks[CONSOLE_WAIT_MAX + 3] = {
        {.fd = stop_pipe[0], .events = POLLIN},
        {.fd = -1, .events = POLLIN},
        {.fd = (watched & CONSOLE_CLOSED) != 0 ? STDOUT_FILENO : -1, .events = 0},
    };
    unsigned happened = 0;

    for (size_t i = 0; i < count && i < CONSOLE_WAIT_MAX; i++) {
        looks[i + 3] = (struct pollfd){.fd = (int)fds[i], .events = POLLIN};
    }
    if ((watched & CONSOLE_INPUT) != 0 && !is_in_background()) {
        looks[1].fd = STDIN_FILENO;
    } else if ((watched & CONSOLE_INPUT) != 0 && (timeout_ms < 0 || timeout_ms > BACKGROUND_MS)) {
        timeout_ms = BACKGROUND_MS;
    }
    if (poll(looks, (nfds_t)(count + 3), timeout_ms) <= 0) {
        return 0;
    }
    happened |= looks[0].revents != 0 ? CONSOLE_STOPPED : 0u;
    happened |= looks[1].revents != 0 ? CONSOLE_INPUT : 0u;
    happened |= (looks[2].revents & (POLLERR | POLLHUP)) != 0 ? CONSOLE_CLOSED : 0u;
    return happened;
}

console_input console_read(uint8_t *out, size_t capacity, size_t *size)
{
    const ssize_t result = read(STDIN_FILENO, out, capacity);

    *size = result > 0 ? (size_t)result : 0;
    if (result > 0) {
        return CONSOLE_READ_SOME;
    }
    if (result < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK ||
                       (errno == EIO && is_in_background()))) {
        return CONSOLE_READ_NONE;
    }
    return CONSOLE_READ_END;
}

/* --- output ----------------------------------------------------------------------------------- */

/* Writes everything, in pieces that a pipe takes at once, so that a signal always ends the wait for
 * a slow reader. False with errno, or with errno 0 when the program is to stop meanwhile. */
static bool write_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        struct pollfd looks[2] = {{.fd = fd, .events = POLLOUT},
                                  {.fd = stop_pipe[0], .events = POLLIN}};
        ssize_t written;

        if (poll(looks, 2, -1) < 0 && errno != EINTR) {
            return false;
        }
        if (looks[0].revents == 0) {
            if (looks[1].revents != 0) {
                errno = 0;
                return false;
            }
            continue;
        }
        written = write(fd, bytes, size < PIECE_SIZE ? size : PIECE_SIZE);
        if (written < 0 && errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK) {
            return false;
        }
        bytes += written > 0 ? written : 0;
        size -= written > 0 ? (size_t)written : 0;
    }
    return true;
}

static struct {
    FILE *stream; /* of the memory below */
    char *bytes;
    size_t size;
    bool lost;
} output;

FILE *console_out(void)
{
    if (output.stream == NULL) {
        output.stream = open_memstream(&output.bytes, &output.size);
        if (output.stream == NULL) {
            cli_say("cannot print: %s", strerror(errno));
            exit(CLI_EXIT_FAILED);
        }
    }
    return output.stream;
}

bool console_flush(void)
{
    FILE *out = console_out();
    off_t size;

    if (output.lost) {
        return false;
    }
    if (fflush(out) != 0 || ferror(out)) {
        cli_say("cannot print: %s", strerror(errno));
        output.lost = true;
        return false;
    }
    /* Not output.size: musl leaves it as it is when the position goes back to 0. */
    size = ftello(out);
    if (!has_no_output && (size < 0 || !write_all(STDOUT_FILENO, output.bytes, (size_t)size))) {
        if (errno != 0) {
            cli_say("cannot write to standard output: %s", strerror(errno));
        }
        output.lost = true;
        return false;
    }
    return fseeko(out, 0, SEEK_SET) == 0;
}

void console_error(const char *text, size_t size)
{
    (void)write_all(STDERR_FILENO, text, size); /* there is nowhere to say that it failed */
}

bool console_out_is_terminal(void)
{
    return isatty(STDOUT_FILENO) == 1;
}

bool console_is_unicode(void)
{
    return unicode || !console_out_is_terminal();
}

size_t console_error_width(void)
{
    struct winsize window = {.ws_col = 0};

    if (isatty(STDERR_FILENO) != 1) {
        return 0;
    }
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col >= COLUMNS_MIN
               ? window.ws_col
               : COLUMNS_DEFAULT;
}

/* --- names ------------------------------------------------------------------------------------ */

void console_path(const cli_settings *settings, char *out, size_t capacity)
{
    const char *directory = settings->options.directory;

    if (settings->options.abstract) {
        snprintf(out, capacity, "@goipc/%s", settings->name);
    } else {
        snprintf(out, capacity, "%s/%s.sock", directory != NULL ? directory : "/tmp",
                 settings->name);
    }
}

bool console_name_is_left(const cli_settings *settings)
{
    const int64_t end_ms = console_clock_ms() + NAME_LEFT_MS;
    struct stat status;
    char path[512];

    console_path(settings, path, sizeof path);
    while (!settings->options.abstract && lstat(path, &status) == 0) {
        if (console_clock_ms() >= end_ms) {
            return true;
        }
        (void)poll(NULL, 0, NAME_LEFT_STEP_MS);
    }
    return false;
}
