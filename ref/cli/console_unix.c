/* SPDX-License-Identifier: MIT */
/* console.h for POSIX systems. */
#define _POSIX_C_SOURCE 200809L

#include "console.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static void (*stop_now)(void);

static void handle_signal(int signal)
{
    (void)signal;
    stop_now();
}

void console_on_stop(void (*stop)(void))
{
    struct sigaction action = {.sa_handler = handle_signal};

    stop_now = stop;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action,
              NULL); /* writing to a closed standard output is an error to report */
}

int64_t console_clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool console_wait(intptr_t endpoint_fd, bool input, int32_t timeout_ms)
{
    struct pollfd looks[2] = {
        {.fd = (int)endpoint_fd, .events = POLLIN},
        {.fd = input ? STDIN_FILENO : -1, .events = POLLIN},
    };

    return poll(looks, 2, timeout_ms) > 0 && looks[1].revents != 0;
}

console_input console_read(uint8_t *out, size_t capacity, size_t *size)
{
    const ssize_t result = read(STDIN_FILENO, out, capacity);

    *size = result > 0 ? (size_t)result : 0;
    if (result > 0) {
        return CONSOLE_INPUT_SOME;
    }
    return result < 0 && errno == EINTR ? CONSOLE_INPUT_NONE : CONSOLE_INPUT_END;
}

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
