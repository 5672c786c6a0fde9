/* SPDX-License-Identifier: MIT */
/* `goipc bench`: round trips and the one-way rate of a server that echoes. */
#include "console.h"

#include <stdlib.h>
#include <string.h>

enum {
    COUNT_DEFAULT = 10000,
    TIMEOUT_DEFAULT_MS = 5000,
    IN_FLIGHT_MAX = 1024 * 1024, /* bytes sent whose echo has not arrived */
};

typedef struct bench {
    const cli_settings *settings;
    goipc_client *client;
    uint8_t *data;
    uint64_t count;
    int32_t timeout_ms;
    int64_t *times_ns; /* of the round trips, `count` of them */
    int64_t total_ns;  /* of the one-way part */
} bench;

static goipc_client *_Atomic running; /* for the signal handler */

static void stop(void)
{
    goipc_client *client = running;

    if (client != NULL) {
        goipc_client_interrupt(client);
    }
}

/* --- messages --------------------------------------------------------------------------------- */

static bool fail(const bench *self, goipc_error error)
{
    goipc_failure failure = {.error = GOIPC_ERROR_OK};

    if (error == GOIPC_ERROR_TIMEOUT &&
        goipc_client_status(self->client) == GOIPC_STATUS_CONNECTED) {
        cli_say("no echo for %ld ms: the server has to send every message back, as goipc serve "
                "NAME --echo does",
                (long)self->timeout_ms);
    } else if (error != GOIPC_ERROR_INTERRUPTED) {
        goipc_client_failure(self->client, &failure);
        cli_say_failure(&failure, error);
    }
    return false;
}

static bool is_echo(const bench *self, const goipc_message *message)
{
    if (message->type == (int64_t)self->settings->type &&
        message->data_size == self->settings->size &&
        (message->data_size == 0 || memcmp(message->data, self->data, message->data_size) == 0)) {
        return true;
    }
    cli_say("the server does not echo: it sent another message (type %lld, %zu bytes)",
            (long long)message->type, message->data_size);
    return false;
}

/* Waits for one echo; timeout_ms 0: takes one that is there, *error says whether. */
static bool read_echo(const bench *self, int32_t timeout_ms, goipc_error *error)
{
    goipc_message message;

    do {
        *error = goipc_client_read(self->client, timeout_ms, &message);
        if (*error != GOIPC_ERROR_OK) {
            return *error == GOIPC_ERROR_WOULD_BLOCK || fail(self, *error);
        }
    } while (message.type == GOIPC_MESSAGE_STATUS);
    return is_echo(self, &message);
}

static bool connect_to_server(const bench *self)
{
    goipc_message message;

    while (goipc_client_status(self->client) != GOIPC_STATUS_CONNECTED) {
        const goipc_error error = goipc_client_read(self->client, GOIPC_FOREVER, &message);

        if (error != GOIPC_ERROR_OK) {
            return fail(self, error);
        }
    }
    if (self->settings->size > goipc_client_send_size_max(self->client)) {
        cli_say("--size %lu is more than the server takes, %lu bytes",
                (unsigned long)self->settings->size,
                (unsigned long)goipc_client_send_size_max(self->client));
        return false;
    }
    return true;
}

/* --- measuring -------------------------------------------------------------------------------- */

static bool measure_round_trips(const bench *self)
{
    const cli_settings *settings = self->settings;
    goipc_error error;

    for (uint64_t i = 0; i < self->count; i++) {
        const int64_t start_ns = console_clock_ns();

        error = goipc_client_write(self->client, settings->type, self->data, settings->size);
        if (error != GOIPC_ERROR_OK) {
            return fail(self, error);
        }
        if (!read_echo(self, self->timeout_ms, &error)) {
            return false;
        }
        self->times_ns[i] = console_clock_ns() - start_ns;
    }
    return true;
}

/* Sends what the queue takes while echoes are under way, and reads those that have come. */
static bool measure_rate(bench *self)
{
    const cli_settings *settings = self->settings;
    const uint64_t in_flight_max = IN_FLIGHT_MAX / (settings->size + 64u) + 1;
    const int64_t start_ns = console_clock_ns();
    uint64_t sent_count = 0, echo_count = 0;
    goipc_error error;

    while (echo_count < self->count) {
        error = GOIPC_ERROR_OK;
        while (sent_count < self->count && sent_count - echo_count < in_flight_max &&
               error == GOIPC_ERROR_OK) {
            error = goipc_client_write(self->client, settings->type, self->data, settings->size);
            sent_count += error == GOIPC_ERROR_OK ? 1 : 0;
        }
        if (error != GOIPC_ERROR_OK && error != GOIPC_ERROR_WOULD_BLOCK) {
            return fail(self, error);
        }
        if (!read_echo(self, self->timeout_ms, &error)) {
            return false;
        }
        do {
            echo_count++;
            if (echo_count < self->count && !read_echo(self, 0, &error)) {
                return false;
            }
        } while (echo_count < self->count && error == GOIPC_ERROR_OK);
    }
    self->total_ns = console_clock_ns() - start_ns;
    return true;
}

/* --- figures ---------------------------------------------------------------------------------- */

static int compare_times(const void *left, const void *right)
{
    const int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

    return (a > b) - (a < b);
}

static double microseconds(const bench *self, double share)
{
    return (double)self->times_ns[(uint64_t)((double)(self->count - 1) * share)] / 1e3;
}

static void put_figures(const bench *self)
{
    FILE *out = console_out();
    const cli_settings *settings = self->settings;
    double sum_ns = 0;
    const double rate = (double)self->count * 1e9 / (double)self->total_ns;
    const double megabytes = rate * settings->size / 1e6;

    for (uint64_t i = 0; i < self->count; i++) {
        sum_ns += (double)self->times_ns[i];
    }
    qsort(self->times_ns, self->count, sizeof *self->times_ns, compare_times);
    if (settings->format == CLI_FORMAT_JSON) {
        fprintf(out,
                "{\"count\":%llu,\"size\":%lu,\"encrypted\":%s,\"round_trip_us\":{\"p50\":%.1f,"
                "\"p99\":%.1f,\"max\":%.1f},\"round_trips_per_s\":%.0f,\"one_way_per_s\":%.0f,"
                "\"one_way_mb_per_s\":%.2f}\n",
                (unsigned long long)self->count, (unsigned long)settings->size,
                goipc_client_is_encrypted(self->client) ? "true" : "false", microseconds(self, 0.5),
                microseconds(self, 0.99), microseconds(self, 1), (double)self->count * 1e9 / sum_ns,
                rate, megabytes);
        return;
    }
    fprintf(out, "%llu messages of %lu bytes, %s\n", (unsigned long long)self->count,
            (unsigned long)settings->size,
            goipc_client_is_encrypted(self->client) ? "encrypted" : "plain");
    fprintf(out, "round trips  %.0f a second; p50 %.1f us, p99 %.1f us, max %.1f us\n",
            (double)self->count * 1e9 / sum_ns, microseconds(self, 0.5), microseconds(self, 0.99),
            microseconds(self, 1));
    fprintf(out, "one way      %.0f messages a second, %.2f MB/s\n", rate, megabytes);
}

/* --- the command ------------------------------------------------------------------------------ */

static int run(bench *self)
{
    const uint32_t size = self->settings->size;

    self->data = malloc(size + 1u);
    self->times_ns = self->count <= SIZE_MAX / sizeof *self->times_ns
                         ? malloc((size_t)self->count * sizeof *self->times_ns)
                         : NULL;
    if (self->data == NULL || self->times_ns == NULL) {
        cli_say("not enough memory for %llu messages of %lu bytes", (unsigned long long)self->count,
                (unsigned long)size);
        return CLI_EXIT_FAILED;
    }
    for (uint32_t i = 0; i < size; i++) {
        self->data[i] = (uint8_t)('a' + i % 26);
    }
    if (!connect_to_server(self) || !measure_round_trips(self) || !measure_rate(self)) {
        return CLI_EXIT_FAILED;
    }
    put_figures(self);
    return console_flush() ? CLI_EXIT_OK : CLI_EXIT_FAILED;
}

int cli_bench(const cli_settings *settings)
{
    goipc_failure failure = {.error = GOIPC_ERROR_OK};
    bench self = {
        .settings = settings,
        .count = settings->count > 0 ? settings->count : COUNT_DEFAULT,
        .timeout_ms = settings->timeout_ms > 0 ? settings->timeout_ms : TIMEOUT_DEFAULT_MS,
    };
    goipc_client_config config = {
        .options = settings->options,
        .timeout_ms = self.timeout_ms,
        .reconnect_off = true,
    };
    goipc_error error;
    int status;

    config.options.failure = &failure;
    config.options.write_timeout_ms = GOIPC_NO_WAIT; /* read echoes instead */
    error = goipc_client_start(settings->name, &config, &self.client);
    if (error != GOIPC_ERROR_OK) {
        cli_say_failure(&failure, error);
        return CLI_EXIT_FAILED;
    }
    running = self.client;
    (void)console_on_stop(stop);
    status = run(&self);
    running = NULL; /* before it is freed: a signal may come at any moment */
    goipc_client_close(self.client);
    free(self.data);
    free(self.times_ns);
    return status;
}
