/* SPDX-License-Identifier: MIT */
/* Goal: every error has the name, text and class that the list says, every status has golang-ipc's
 * number and text, and values outside the lists are answered too. Method: the list once more, and
 * literals for what other programs depend on. */
#include "goipc.h"
#include "test.h"

typedef struct row {
    goipc_error error;
    const char *name;
    const char *text;
} row;

static const row rows[] = {
#define ROW(name, value, text) {GOIPC_ERROR_##name, #name, text},
    GOIPC_ERROR_LIST(ROW)
#undef ROW
};

static const size_t row_count = sizeof rows / sizeof rows[0];

static goipc_error error_of(int value)
{
    return (goipc_error)value;
}

static void test_names_and_texts(void)
{
    for (size_t i = 0; i < row_count; i++) {
        EXPECT(strcmp(goipc_error_name(rows[i].error), rows[i].name) == 0);
        EXPECT(strcmp(goipc_error_text(rows[i].error), rows[i].text) == 0);
    }
    EXPECT(strcmp(goipc_error_name(GOIPC_ERROR_FRAME_SIZE), "FRAME_SIZE") == 0);
    EXPECT(strcmp(goipc_error_text(GOIPC_ERROR_OK), "ok") == 0);
    EXPECT(strcmp(goipc_error_name(error_of(99)), "UNKNOWN") == 0);
    EXPECT(strcmp(goipc_error_text(error_of(99)), "unknown error") == 0);
}

static void test_names_texts_and_values_are_unique(void)
{
    for (size_t i = 0; i < row_count; i++) {
        for (size_t other = 0; other < i; other++) {
            EXPECT(rows[i].error != rows[other].error);
            EXPECT(strcmp(rows[i].name, rows[other].name) != 0);
            EXPECT(strcmp(rows[i].text, rows[other].text) != 0);
        }
    }
}

/* Texts go into sentences: lower case first (names of calls and standards apart), no full stop. */
static void test_texts_have_one_style(void)
{
    for (size_t i = 0; i < row_count; i++) {
        const size_t size = strlen(rows[i].text);

        EXPECT(size > 0 && size < 80);
        EXPECT(rows[i].text[0] < 'A' || rows[i].text[0] > 'Z');
        EXPECT(rows[i].text[size - 1] != '.');
        EXPECT(strchr(rows[i].text, '\n') == NULL);
    }
}

static void test_classes(void)
{
    static const goipc_error_class classes[] = {
        GOIPC_ERROR_CLASS_OK,
        GOIPC_ERROR_CLASS_LOCAL,
        GOIPC_ERROR_CLASS_PEER,
        GOIPC_ERROR_CLASS_SYSTEM,
    };

    for (size_t i = 0; i < row_count; i++) {
        EXPECT(rows[i].error < 400);
        EXPECT(goipc_error_classify(rows[i].error) == classes[rows[i].error / 100]);
    }
    EXPECT(goipc_error_classify(GOIPC_ERROR_TIMEOUT) == GOIPC_ERROR_CLASS_LOCAL);
    EXPECT(goipc_error_classify(GOIPC_ERROR_DECRYPT) == GOIPC_ERROR_CLASS_PEER);
    EXPECT(goipc_error_classify(GOIPC_ERROR_RANDOM) == GOIPC_ERROR_CLASS_SYSTEM);
    /* What nobody knows is nobody's fault that a retry could mend. */
    EXPECT(goipc_error_classify(error_of(400)) == GOIPC_ERROR_CLASS_SYSTEM);
}

static void test_status_has_golang_ipc_numbers_and_texts(void)
{
    static const char *const texts[] = {
        "Not Connected", "Listening", "Connecting", "Connected", "Reconnecting",
        "Closed",        "Closing",   "Error",      "Timeout",   "Disconnected",
    };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        EXPECT(strcmp(goipc_status_text((goipc_status)i), texts[i]) == 0);
    }
    EXPECT(GOIPC_STATUS_CONNECTED == 3 && GOIPC_STATUS_DISCONNECTED == 9);
    EXPECT(strcmp(goipc_status_text((goipc_status)10), "Status not found") == 0);
}

static void test_version_is_the_headers(void)
{
    char version[32];

    snprintf(version, sizeof version, "%d.%d.%d", GOIPC_VERSION_MAJOR, GOIPC_VERSION_MINOR,
             GOIPC_VERSION_PATCH);
    EXPECT(strcmp(goipc_version(), version) == 0);
}

int main(void)
{
    test_names_and_texts();
    test_names_texts_and_values_are_unique();
    test_texts_have_one_style();
    test_classes();
    test_status_has_golang_ipc_numbers_and_texts();
    test_version_is_the_headers();
    printf("ok %d checks\n", test_checks);
    return 0;
}
