/* SPDX-License-Identifier: MIT */
/* Goal: randomness is whole or an error that leaves zeros, whatever the kernel answers; the clock
 * does not go back; registration happens once; flags carry what was written before them. Method:
 * this program brings its own getentropy, which the library then calls. */
#define _GNU_SOURCE

#include "core/system.h"
#include "endpoint/clock.h"
#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

int getentropy(void *out, size_t size);

/* What getentropy does: fail with `error` where the calls counted reach `fail_at`, for `fail_count`
 * calls; otherwise fill with the number of the call. */
static int calls, fail_at, fail_count, fail_error;
static size_t largest_piece;

int getentropy(void *out, size_t size)
{
    const int call = calls++;

    largest_piece = size > largest_piece ? size : largest_piece;
    if (call >= fail_at && call < fail_at + fail_count) {
        errno = fail_error;
        return -1;
    }
    memset(out, call + 1, size);
    return 0;
}

static void script(int at, int count, int error)
{
    calls = 0;
    fail_at = at;
    fail_count = count;
    fail_error = error;
    largest_piece = 0;
}

static bool is_filled(const uint8_t *bytes, size_t size, uint8_t value)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != value) {
            return false;
        }
    }
    return true;
}

static void test_random_in_pieces(void)
{
    static const size_t sizes[] = {1, 48, 255, 256, 257, 512, 513};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t *out = calloc(1, sizes[i]);

        EXPECT(out != NULL);
        script(0, 0, 0);
        EXPECT(goipci_system_random(out, sizes[i]) == GOIPC_ERROR_OK);
        EXPECT(calls == (int)((sizes[i] + 255) / 256) && largest_piece <= 256);
        for (size_t at = 0; at < sizes[i]; at++) {
            EXPECT(out[at] == at / 256 + 1);
        }
        free(out);
    }
    script(0, 0, 0);
    EXPECT(goipci_system_random(NULL, 0) == GOIPC_ERROR_OK && calls == 0);
}

/* req: KD-003 */
static void test_random_fails_whole(void)
{
    static const int errors[] = {ENOSYS, EIO, EFAULT, EPERM};
    uint8_t out[600];

    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        for (int at = 0; at < 3; at++) {
            memset(out, 0xaa, sizeof out);
            script(at, 1, errors[i]);
            EXPECT(goipci_system_random(out, sizeof out) == GOIPC_ERROR_RANDOM);
            EXPECT(is_filled(out, sizeof out, 0));
        }
    }
}

static void test_random_goes_on_after_a_signal(void)
{
    uint8_t out[300];

    script(1, 5, EINTR);
    EXPECT(goipci_system_random(out, sizeof out) == GOIPC_ERROR_OK);
    EXPECT(calls == 7);
    EXPECT(is_filled(out, 256, 1) && is_filled(out + 256, 44, 7));
}

static void test_clock_goes_forward(void)
{
    int64_t before = goipci_system_clock_ms();
    const int64_t end = before + 5;
    int64_t now = before;

    while (now < end) {
        now = goipci_system_clock_ms();
        EXPECT(now >= before);
        before = now;
    }
}

#if defined(__linux__)
/* In a thread, whose processors are not those of the others. */
static void *confine(void *context)
{
    const int processor = sched_getcpu();
    cpu_set_t one;

    (void)context;
    CPU_ZERO(&one);
    CPU_SET((size_t)processor, &one);
    EXPECT(sched_setaffinity(0, sizeof one, &one) == 0);
    EXPECT(!goipci_system_is_parallel());
    return NULL;
}

static void test_processors_are_those_it_may_use(void)
{
    cpu_set_t usable;
    pthread_t thread;

    EXPECT(sched_getaffinity(0, sizeof usable, &usable) == 0);
    EXPECT(goipci_system_is_parallel() == (CPU_COUNT(&usable) > 1));
    EXPECT(pthread_create(&thread, NULL, confine, NULL) == 0);
    pthread_join(thread, NULL);
}
#else
static void test_processors_are_those_it_may_use(void)
{
    EXPECT(goipci_system_is_parallel() == (sysconf(_SC_NPROCESSORS_ONLN) > 1));
}
#endif

static void test_process_tells_a_fork(void)
{
    int64_t process;
    pid_t child;
    int status;

    goipci_system_watch_forks();
    goipci_system_watch_forks(); /* counts each fork once all the same */
    process = goipci_system_process();
    child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        exit(goipci_system_process() == process + 1 ? 0 : 1);
    }
    EXPECT(waitpid(child, &status, 0) == child);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    EXPECT(goipci_system_process() == process);
}

static int registrations;

static void count_registration(void)
{
    registrations++;
}

static void *register_and_look(void *context)
{
    (void)context;
    goipci_system_register_once(count_registration);
    EXPECT(registrations == 1);
    return NULL;
}

enum { THREADS = 8 };

static void test_registration_happens_once(void)
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++) {
        EXPECT(pthread_create(&threads[i], NULL, register_and_look, NULL) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        EXPECT(pthread_join(threads[i], NULL) == 0);
    }
    EXPECT(registrations == 1);
}

static goipci_flag flag;
static int written_before_flag;

static void *set_flag(void *context)
{
    written_before_flag = 42;
    goipci_flag_set(&flag);
    return context;
}

static void test_flag_carries_what_was_written_before(void)
{
    pthread_t thread;

    EXPECT(!goipci_flag_is_set(&flag));
    EXPECT(pthread_create(&thread, NULL, set_flag, NULL) == 0);
    while (!goipci_flag_is_set(&flag)) {
    }
    EXPECT(written_before_flag == 42); /* ThreadSanitizer would see a race */
    EXPECT(pthread_join(thread, NULL) == 0);
}

int main(void)
{
    test_random_in_pieces();
    test_random_fails_whole();
    test_random_goes_on_after_a_signal();
    test_clock_goes_forward();
    test_processors_are_those_it_may_use();
    test_process_tells_a_fork();
    test_registration_happens_once();
    test_flag_carries_what_was_written_before();
    printf("ok %d checks\n", test_checks);
    return 0;
}
