/* SPDX-License-Identifier: MIT */
#define _DEFAULT_SOURCE /* wait4 with -std=c11 */
#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LATENCIES_MAX = 200000, IDLE_MS = 300 };

struct usage {
    double cpu_s;
    long switches;
    long rss_kib;
};

/* No figure: printed as null. */
enum { UNKNOWN = -1 };

/* What the serving process tells the measuring one when a run is over. */
struct report {
    struct usage before;
    struct usage after;
};

struct run {
    const bench_contestant *contestant;
    bench_options options;
    const char *workload;
    size_t size;
    size_t count;
    uint8_t *data;
    pid_t child;
    int to_parent[2]; /* reports of the serving process */
};

void bench_fail(const char *what)
{
    fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

void *bench_allocate(size_t size)
{
    void *made = calloc(1, size);

    if (made == NULL) {
        bench_fail("memory");
    }
    return made;
}

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* What is resident now, not the most there ever was, which a child inherits from its parent. */
static long resident_kib(pid_t process)
{
    char path[64];
    long pages = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%ld/statm", (long)process);
    file = fopen(path, "r");
    if (file == NULL) {
        return UNKNOWN;
    }
    if (fscanf(file, "%*d %ld", &pages) != 1) {
        bench_fail(path);
    }
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static struct usage usage_now(void)
{
    struct rusage spent;
    struct usage now;

    getrusage(RUSAGE_SELF, &spent);
    now.cpu_s = (double)(spent.ru_utime.tv_sec + spent.ru_stime.tv_sec) +
                (double)(spent.ru_utime.tv_usec + spent.ru_stime.tv_usec) * 1e-6;
    now.switches = spent.ru_nvcsw + spent.ru_nivcsw;
    now.rss_kib = resident_kib(getpid());
    return now;
}

#ifdef __linux__
/* The switches of all threads that a process has. */
static long switches_of(pid_t process)
{
    char path[64], line[128];
    long total = 0, one;
    struct dirent *entry;
    DIR *tasks;

    snprintf(path, sizeof path, "/proc/%ld/task", (long)process);
    tasks = opendir(path);
    if (tasks == NULL) {
        bench_fail(path);
    }
    while ((entry = readdir(tasks)) != NULL) {
        FILE *file;

        snprintf(path, sizeof path, "/proc/%ld/task/%.20s/status", (long)process, entry->d_name);
        file = fopen(path, "r");
        while (file != NULL && fgets(line, sizeof line, file) != NULL) {
            if (sscanf(line, "voluntary_ctxt_switches: %ld", &one) == 1 ||
                sscanf(line, "nonvoluntary_ctxt_switches: %ld", &one) == 1) {
                total += one;
            }
        }
        if (file != NULL) {
            fclose(file);
        }
    }
    closedir(tasks);
    return total;
}

/* The same of the serving process, which runs on and cannot tell. */
static struct usage usage_of(pid_t process)
{
    struct usage now;
    struct timespec spent;
    clockid_t clock;

    if (clock_getcpuclockid(process, &clock) != 0 || clock_gettime(clock, &spent) != 0) {
        bench_fail("the serving process ended");
    }
    now.cpu_s = (double)spent.tv_sec + (double)spent.tv_nsec * 1e-9;
    now.switches = switches_of(process);
    now.rss_kib = resident_kib(process);
    return now;
}
#else
static struct usage usage_of(pid_t process)
{
    const struct usage unknown = {UNKNOWN, UNKNOWN, UNKNOWN};

    (void)process;
    return unknown;
}
#endif

/* --- both sides --------------------------------------------------------------------------------
 */

static void send_all(const struct run *run, void *end)
{
    for (size_t i = 0; i < run->count; i++) {
        run->contestant->send(end, run->data, run->size);
    }
    run->contestant->flush(end);
}

static void send_one(const struct run *run, void *end, size_t size)
{
    run->contestant->send(end, run->data, size);
    run->contestant->flush(end);
}

static void receive_all(const struct run *run, void *end, size_t count, size_t expected_size)
{
    size_t size;

    while (count > 0) {
        count -= run->contestant->receive(end, count, &size);
        if (size != expected_size) {
            errno = EPROTO;
            bench_fail("a message arrived with another size");
        }
    }
}

/* --- the serving process ------------------------------------------------------------------------
 */

static void tell(const struct run *run, const struct report *report)
{
    if (write(run->to_parent[1], report, sizeof *report) != (ssize_t)sizeof *report) {
        bench_fail("report");
    }
}

static bool does(const struct run *run, const char *workload)
{
    return strcmp(run->workload, workload) == 0;
}

static void answer(const struct run *run, void *end, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        receive_all(run, end, 1, run->size);
        send_one(run, end, run->size);
    }
}

static void serve_messages(const struct run *run)
{
    void *end = run->contestant->serve(&run->options);
    struct report report;

    /* A round trip first, so that neither connecting nor first allocations are measured. */
    answer(run, end, does(run, "turns") ? run->options.clients : 1);
    report.before = usage_now();
    if (does(run, "oneway")) {
        receive_all(run, end, run->count, run->size);
        send_one(run, end, 1);
    } else if (does(run, "back")) {
        send_all(run, end);
        receive_all(run, end, 1, 1);
    } else {
        answer(run, end, run->count);
    }
    report.after = usage_now();
    tell(run, &report);
    receive_all(run, end, 1, 1); /* the other side has all it needs */
    run->contestant->close(end);
}

/* --- the measuring process ----------------------------------------------------------------------
 */

static int compare_doubles(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

static void round_trip(const struct run *run, void *end)
{
    send_one(run, end, run->size);
    receive_all(run, end, 1, run->size);
}

static size_t measure_round_trips(const struct run *run, void *const *ends, size_t end_count,
                                  double *latencies)
{
    size_t kept = 0;

    for (size_t i = 0; i < run->count; i++) {
        const double start = now_s();

        round_trip(run, ends[i % end_count]);
        if (kept < LATENCIES_MAX) {
            latencies[kept++] = (now_s() - start) * 1e6;
        }
    }
    qsort(latencies, kept, sizeof *latencies, compare_doubles);
    return kept;
}

static struct report hear(const struct run *run)
{
    struct report report;

    if (read(run->to_parent[0], &report, sizeof report) != (ssize_t)sizeof report) {
        bench_fail("the serving process ended");
    }
    return report;
}

static void print_figure(const char *key, double value, bool known, int digits)
{
    if (known) {
        printf(", \"%s\": %.*f", key, digits, value);
    } else {
        printf(", \"%s\": null", key);
    }
}

static void print_side(const char *side, const struct report *of)
{
    const bool known = of->after.cpu_s >= 0;
    char key[40];

    snprintf(key, sizeof key, "cpu_%s_s", side);
    print_figure(key, of->after.cpu_s - of->before.cpu_s, known, 6);
    snprintf(key, sizeof key, "switches_%s", side);
    print_figure(key, (double)(of->after.switches - of->before.switches), known, 0);
    snprintf(key, sizeof key, "rss_%s_before_kib", side);
    print_figure(key, (double)of->before.rss_kib, of->before.rss_kib >= 0, 0);
    snprintf(key, sizeof key, "rss_%s_kib", side);
    print_figure(key, (double)of->after.rss_kib, of->after.rss_kib >= 0, 0);
}

static void print_result(const struct run *run, double seconds, const struct report *client,
                         const struct report *server)
{
    printf("{\"messages\": %zu, \"seconds\": %.9f", run->count, seconds);
    print_side("client", client);
    print_side("server", server);
}

static void print_latencies(const double *latencies, size_t kept)
{
    if (kept > 0) {
        printf(", \"p50_us\": %.3f, \"p99_us\": %.3f", latencies[kept / 2],
               latencies[kept * 99 / 100]);
    }
}

/* Connected clients, of which each has had one answer: neither connecting nor first allocations
 * are measured. */
static void **open_ends(const struct run *run, size_t count)
{
    void **ends = bench_allocate(count * sizeof *ends);

    for (size_t i = 0; i < count; i++) {
        ends[i] = run->contestant->connect(&run->options);
        round_trip(run, ends[i]);
    }
    return ends;
}

static void close_ends(const struct run *run, void **ends, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        run->contestant->close(ends[i]);
    }
    free(ends);
}

static void measure_messages(const struct run *run)
{
    const size_t end_count = does(run, "turns") ? run->options.clients : 1;
    double *latencies = bench_allocate(LATENCIES_MAX * sizeof *latencies);
    void **ends = open_ends(run, end_count);
    size_t kept = 0;
    struct report client, server;
    double start, seconds;

    client.before = usage_now();
    start = now_s();
    if (does(run, "oneway")) {
        send_all(run, ends[0]);
        receive_all(run, ends[0], 1, 1);
    } else if (does(run, "back")) {
        receive_all(run, ends[0], run->count, run->size);
        send_one(run, ends[0], 1);
    } else {
        kept = measure_round_trips(run, ends, end_count, latencies);
    }
    seconds = now_s() - start;
    client.after = usage_now();
    server = hear(run);
    send_one(run, ends[0], 1);
    print_result(run, seconds, &client, &server);
    print_latencies(latencies, kept);
    printf("}\n");
    close_ends(run, ends, end_count);
    free(latencies);
}

/* What clients cost that do nothing any more: memory of the server, and its time. */
static void measure_idle(const struct run *run)
{
    const struct timespec pause = {0, IDLE_MS * 1000000L};
    void **first = open_ends(run, 1);
    struct report client, server;
    struct usage later;
    void **ends;
    double start, seconds;

    client.before = usage_now();
    server.before = usage_of(run->child);
    start = now_s();
    ends = open_ends(run, run->count);
    seconds = now_s() - start;
    client.after = usage_now();
    server.after = usage_of(run->child);
    nanosleep(&pause, NULL);
    later = usage_of(run->child);
    print_result(run, seconds, &client, &server);
    print_figure("idle_cpu_s", later.cpu_s - server.after.cpu_s, later.cpu_s >= 0, 6);
    printf(", \"idle_s\": %.3f}\n", IDLE_MS * 1e-3);
    send_one(run, first[0], 1);
    close_ends(run, ends, run->count);
    close_ends(run, first, 1);
}

static void measure_handshakes(const struct run *run)
{
    struct report client, server;
    double start, seconds;

    run->contestant->connect_once(&run->options);
    server.before = usage_of(run->child);
    client.before = usage_now();
    start = now_s();
    for (size_t i = 0; i < run->count; i++) {
        run->contestant->connect_once(&run->options);
    }
    seconds = now_s() - start;
    client.after = usage_now();
    server.after = usage_of(run->child);
    print_result(run, seconds, &client, &server);
    printf("}\n");
}

/* --- the program --------------------------------------------------------------------------------
 */

static char socket_path[128];

/* However the run ends: a server that is killed leaves its socket behind. */
static void remove_socket(void)
{
    unlink(socket_path);
}

static void read_option(bench_options *options, const char *argument)
{
    if (strncmp(argument, "mode=", 5) == 0) {
        options->mode = argument + 5;
    } else if (strncmp(argument, "crypto=", 7) == 0) {
        options->crypto = argument + 7;
    } else if (strncmp(argument, "encrypted=", 10) == 0) {
        options->encrypted = argument[10] == '1';
    } else if (strncmp(argument, "clients=", 8) == 0) {
        options->clients = strtoul(argument + 8, NULL, 10);
    } else {
        errno = EINVAL;
        bench_fail(argument);
    }
}

int bench_main(int argc, char **argv, const bench_contestant *contestant)
{
    static char name[64];
    struct run run = {.contestant = contestant,
                      .options = {.name = name, .mode = "single", .clients = 1}};
    bool handshakes;

    if (argc < 4) {
        fprintf(stderr, "usage: %s WORKLOAD SIZE COUNT [key=value ...]\n", argv[0]);
        return 2;
    }
    snprintf(name, sizeof name, "goipc-bench-%ld", (long)getpid());
    run.workload = argv[1];
    run.size = strtoul(argv[2], NULL, 10);
    run.count = strtoul(argv[3], NULL, 10);
    run.options.size_max = run.size < 1024 ? 1024 : run.size;
    for (int i = 4; i < argc; i++) {
        read_option(&run.options, argv[i]);
    }
    handshakes = does(&run, "handshake");
    if (does(&run, "idle")) {
        run.options.clients = run.count + 1;
    } else if (!does(&run, "turns")) {
        run.options.idle = run.options.clients - 1;
    }
    run.data = malloc(run.size + 1);
    if (run.data == NULL || pipe(run.to_parent) != 0) {
        bench_fail("start");
    }
    memset(run.data, 0x5a, run.size + 1);
    signal(SIGPIPE, SIG_IGN);
    run.child = fork();
    if (run.child == 0) {
        if (handshakes) {
            contestant->serve_many(&run.options);
        } else {
            serve_messages(&run);
        }
        _exit(0);
    }
    snprintf(socket_path, sizeof socket_path, "/tmp/%s%s", name, contestant->suffix);
    atexit(remove_socket);
    if (handshakes) {
        measure_handshakes(&run);
        kill(run.child, SIGTERM);
    } else if (does(&run, "idle")) {
        measure_idle(&run);
    } else {
        measure_messages(&run);
    }
    waitpid(run.child, NULL, 0);
    free(run.data);
    return 0;
}
