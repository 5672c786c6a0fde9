/* SPDX-License-Identifier: MIT */
/* The whole test framework: a check that ends the program, a count of checks, and exact-size copies
 * that let AddressSanitizer and valgrind see a byte too many. */
#ifndef GOIPC_TEST_H
#define GOIPC_TEST_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ctest reports a test that ends with this as skipped; it prints `SKIP name: reason` before. */
#define TEST_SKIPPED 77

/* Atomic, because some tests check from several threads. */
static _Atomic int test_checks;

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        test_checks++;                                                                             \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: expected %s\n", __FILE__, __LINE__, #condition);               \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* Where every instruction takes 30 times as long, as under valgrind, whoever runs the tests sets
 * GOIPC_TEST_SLOW: checks are made less often, and a few are left out; each test says which. */
static inline bool test_is_slow(void)
{
    const char *slow = getenv("GOIPC_TEST_SLOW");

    return slow != NULL && strcmp(slow, "") != 0 && strcmp(slow, "0") != 0;
}

/* How much of something to do; says so where it is less. */
static inline long test_amount(const char *what, long usual, long slow)
{
    if (!test_is_slow()) {
        return usual;
    }
    printf("slow: %s: %ld instead of %ld\n", what, slow, usual);
    return slow;
}

/* Whether a check that says nothing there is left out; says so. */
static inline bool test_leaves_out(const char *what)
{
    if (test_is_slow()) {
        printf("slow: not checked: %s\n", what);
    }
    return test_is_slow();
}

/* A copy with nothing behind it; to be freed. */
static inline uint8_t *test_copy(const void *bytes, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);

    EXPECT(copy != NULL);
    if (size > 0) {
        memcpy(copy, bytes, size);
    }
    return copy;
}

static inline int test_hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* Lower-case hexadecimal to bytes: how many, or SIZE_MAX where it is none or does not fit. */
static inline size_t test_from_hex(const char *hex, uint8_t *out, size_t capacity)
{
    const size_t size = strlen(hex) / 2;

    if (strlen(hex) % 2 != 0 || size > capacity) {
        return SIZE_MAX;
    }
    for (size_t i = 0; i < size; i++) {
        const int high = test_hex_digit(hex[2 * i]), low = test_hex_digit(hex[2 * i + 1]);

        if (high < 0 || low < 0) {
            return SIZE_MAX;
        }
        out[i] = (uint8_t)(high << 4 | low);
    }
    return size;
}

#endif
