/* SPDX-License-Identifier: MIT */
/* Goal: a clock that leaps an hour ahead between any two looks at it, as after a machine slept, or
 * that stands still, costs at most the connection: nothing crashes, hangs or leaks, and the next
 * connection works. Method: the linker puts a clock of the test's in the way (--wrap); one scenario
 * runs again and again while the first, second, third ... look at the clock is the late one. */
#define _GNU_SOURCE

#include "endpoint_pair.h"

#include <sched.h>

enum { HOUR_S = 3600 };

static struct {
    long leap_at; /* the look from which on it is an hour later; 0: none */
    long every;   /* ... and again after so many; 0: once */
    long count;
    long hours;
    bool stands;
    struct timespec stood_at;
} now;

int __real_clock_gettime(clockid_t id, struct timespec *out);
int __wrap_clock_gettime(clockid_t id, struct timespec *out);

int __wrap_clock_gettime(clockid_t id, struct timespec *out)
{
    const int result = __real_clock_gettime(id, out);

    now.count++;
    if (now.count == now.leap_at) {
        now.hours++;
        now.leap_at += now.every;
    }
    if (now.stands) {
        *out = now.stood_at;
    }
    out->tv_sec += now.hours * HOUR_S;
    return result;
}

static int64_t real_clock_ms(void)
{
    struct timespec real;

    EXPECT(__real_clock_gettime(CLOCK_MONOTONIC, &real) == 0);
    return (int64_t)real.tv_sec * 1000 + real.tv_nsec / 1000000;
}

static bool is_survivable(goipc_error error)
{
    return error == GOIPC_ERROR_OK || error == GOIPC_ERROR_WOULD_BLOCK ||
           error == GOIPC_ERROR_TIMEOUT || error == GOIPC_ERROR_NOT_CONNECTED ||
           goipc_error_classify(error) != GOIPC_ERROR_CLASS_LOCAL;
}

/* One look at each side: the client asks, the server echoes. Counts an answer that has come. */
static void step(goipc_server *server, goipc_client *client, bool *asked, int *answers)
{
    static const uint8_t data[5000];
    goipc_message message;
    goipc_error error = goipc_client_read(client, 0, &message);

    EXPECT(is_survivable(error));
    if (error == GOIPC_ERROR_OK && message.type > 0) {
        EXPECT(message_is(&message, 5, data, sizeof data));
        ++*answers;
        *asked = false;
    } else if (error == GOIPC_ERROR_OK && message.status == GOIPC_STATUS_DISCONNECTED) {
        *asked = false; /* question or answer may have been lost with the connection */
    }
    if (!*asked) {
        error = goipc_client_write(client, 5, data, sizeof data);
        EXPECT(is_survivable(error));
        *asked = error == GOIPC_ERROR_OK;
    }
    error = goipc_server_read(server, now.stands ? 0 : 1, &message);
    EXPECT(is_survivable(error));
    if (error == GOIPC_ERROR_OK && message.type > 0) {
        error = goipc_server_write(server, message.client, 5, message.data, message.data_size);
        EXPECT(is_survivable(error));
        *asked = *asked && error == GOIPC_ERROR_OK;
    }
    (void)!goipc_server_flush(server, 0);
    (void)!goipc_client_flush(client, 0);
    sched_yield();
}

static void live(goipc_encryption encryption)
{
    const goipc_options options = {
        .encryption = encryption, .write_timeout_ms = GOIPC_NO_WAIT, .close_timeout_ms = 50};
    const goipc_server_config server_config = {.options = options};
    const goipc_client_config client_config = {.options = options, .retry_interval_ms = 5};
    const int64_t until = real_clock_ms() + PATIENCE_MS;
    char name[64], path[108];
    bool asked = false;
    int answers = 0;
    goipc_server *server;
    goipc_client *client;

    test_path(test_name(name), path);
    EXPECT(goipc_server_start(name, &server_config, &server) == GOIPC_ERROR_OK);
    EXPECT(goipc_client_start(name, &client_config, &client) == GOIPC_ERROR_OK);
    while (answers < 3) {
        EXPECT(real_clock_ms() < until);
        step(server, client, &asked, &answers);
    }
    now.stands = false; /* to close takes time when nobody answers, as here */
    goipc_client_close(client);
    goipc_server_close(server);
    EXPECT(access(path, F_OK) != 0);
}

static void test_an_hour_later_at_each_look(goipc_encryption encryption, long stride)
{
    const size_t descriptors = test_count_entries("/proc/self/fd");
    long runs = 0;
    bool leapt;

    do {
        memset(&now, 0, sizeof now);
        now.leap_at = 1 + runs++ * stride;
        live(encryption);
        leapt = now.hours == 1;
        EXPECT(test_count_entries("/proc/self/fd") == descriptors);
    } while (leapt);
    memset(&now, 0, sizeof now);
    printf("%ld lives with a leap\n", runs - 1);
    EXPECT(runs > 4); /* it did look */
}

static void test_many_leaps(goipc_encryption encryption)
{
    memset(&now, 0, sizeof now);
    now.leap_at = 1;
    now.every = 101; /* a whole handshake fits in between, if not every time */
    live(encryption);
    EXPECT(now.hours > 0);
    memset(&now, 0, sizeof now);
}

static void test_a_clock_that_stands(goipc_encryption encryption)
{
    memset(&now, 0, sizeof now);
    EXPECT(__real_clock_gettime(CLOCK_MONOTONIC, &now.stood_at) == 0);
    now.stands = true;
    live(encryption);
}

int main(void)
{
    test_an_hour_later_at_each_look(GOIPC_ENCRYPTION_OFF, test_amount("looks", 1, 5));
    test_an_hour_later_at_each_look(GOIPC_ENCRYPTION_REQUIRE, test_amount("looks", 3, 20));
    test_many_leaps(GOIPC_ENCRYPTION_OFF);
    test_many_leaps(GOIPC_ENCRYPTION_REQUIRE);
    test_a_clock_that_stands(GOIPC_ENCRYPTION_OFF);
    test_a_clock_that_stands(GOIPC_ENCRYPTION_REQUIRE);
    printf("ok %d checks\n", test_checks);
    return 0;
}
