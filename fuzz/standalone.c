/* SPDX-License-Identifier: MIT */
/* Runs a fuzz target over files, with any compiler: `fuzz_wire [--mutations N] FILE|DIRECTORY...`.
 * With --mutations every file is tried N more times with bytes changed, the same ones in every run:
 * a poor man's fuzzer for machines without clang. */
#include "../ref/test/test.h"
#include "fuzz.h"

#include <dirent.h>
#include <sys/stat.h>

enum { PATH_SIZE_MAX = 4096, FILE_SIZE_MAX = 1 << 22 };

static unsigned long mutation_count;
static size_t file_count;

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* Every input gets memory of exactly its size, so that reading past it is seen. */
static void run_copy(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size == 0 ? 1 : size);

    FUZZ_REQUIRE(copy != NULL);
    if (size > 0) {
        memcpy(copy, bytes, size);
    }
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void run_mutations(uint8_t *bytes, size_t size)
{
    static const uint8_t interesting[] = {0, 1, 2, 3, 4, 28, 31, 32, 127, 128, 254, 255};
    uint32_t state = 2463534242u + (uint32_t)size;

    for (unsigned long i = 0; size > 0 && i < mutation_count; i++) {
        const size_t at = next_random(&state) % size;
        const uint32_t how = next_random(&state);
        const uint8_t was = bytes[at];

        if ((how & 1) != 0) {
            bytes[at] = (uint8_t)(was ^ 1u << (how >> 1) % 8);
        } else {
            bytes[at] = interesting[(how >> 1) % sizeof interesting];
        }
        run_copy(bytes, how % 5 == 0 ? at : size);
        if (how % 3 != 0) {
            bytes[at] = was; /* otherwise changes add up */
        }
    }
}

static void run_file(const char *path)
{
    uint8_t *bytes = malloc(FILE_SIZE_MAX);
    FILE *file = fopen(path, "rb");
    size_t size;

    if (file == NULL || bytes == NULL) {
        perror(path);
        exit(2);
    }
    size = fread(bytes, 1, FILE_SIZE_MAX, file);
    (void)fclose(file); /* only read */
    run_copy(bytes, size);
    run_mutations(bytes, size);
    free(bytes);
    file_count++;
}

static void run_path(const char *path)
{
    struct stat status;
    DIR *directory;

    if (stat(path, &status) != 0) {
        perror(path);
        exit(2);
    }
    if (!S_ISDIR(status.st_mode)) {
        run_file(path);
        return;
    }
    directory = opendir(path);
    if (directory == NULL) {
        perror(path);
        exit(2);
    }
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        char name[PATH_SIZE_MAX];

        if (entry->d_name[0] != '.') {
            (void)snprintf(name, sizeof name, "%s/%s", path, entry->d_name); /* cut: not found */
            run_file(name);
        }
    }
    (void)closedir(directory); /* only read */
}

int main(int argc, char **argv)
{
    int first = 1;

    if (argc > 2 && strcmp(argv[1], "--mutations") == 0) {
        mutation_count =
            (unsigned long)test_amount("mutations of each input", strtol(argv[2], NULL, 10), 0);
        first = 3;
    }
    for (int i = first; i < argc; i++) {
        run_path(argv[i]);
    }
    printf("%zu inputs\n", file_count);
    return file_count == 0; /* a corpus that is not there proves nothing */
}
