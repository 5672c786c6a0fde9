/* SPDX-License-Identifier: MIT */
/* Property: whatever was recorded, `goipc decode` ends and prints nothing but printable ASCII, one
 * line for each thing and none for what is not there: the offsets are those of a second, plain walk
 * over the lengths. It fails exactly if the walk met something cut off or too small, or a line says
 * that a seal is broken. The same bytes written as hexadecimal digits give the same text. */
#define _POSIX_C_SOURCE 200809L /* open_memstream */

#include "fuzz.h"
#include "keys.h"

#include "cli.h"

enum { KEY_CHOICE = 4, OFFSET_DIGITS = 8, OFFSET_COLUMNS = 10 };

/* --- the walk --------------------------------------------------------------------------------- */

typedef struct walk {
    size_t *offsets; /* where each line's thing begins */
    size_t count;
    size_t at;
    bool failed;
} walk;

/* Steps over `wanted` bytes; false at the end of what there is. */
static bool step(walk *w, size_t size, size_t wanted)
{
    w->offsets[w->count++] = w->at;
    w->failed = w->failed || size - w->at < wanted;
    w->at = size - w->at < wanted ? size : w->at + wanted;
    return w->at < size;
}

/* Whether what follows is sealed. */
static bool walk_handshake(walk *w, cli_from from, const uint8_t *bytes, size_t size)
{
    bool sealed;

    if (!step(w, size, from == CLI_FROM_SERVER ? 2 : 1)) {
        return false;
    }
    if (from == CLI_FROM_SERVER) {
        sealed = bytes[1] != 0;
        if (sealed) {
            step(w, size, 97);
        }
    } else {
        sealed = bytes[1] == 4;
        if (!sealed || step(w, size, 97)) {
            step(w, size, 1);
        }
    }
    return sealed;
}

static void walk_all(walk *w, const cli_settings *settings, const uint8_t *bytes, size_t size)
{
    bool sealed = settings->has_key;

    if (settings->from != CLI_FROM_FRAME) {
        sealed = walk_handshake(w, settings->from, bytes, size);
    }
    while (w->at < size) {
        const uint8_t *at = bytes + w->at;
        const uint64_t left = size - w->at;
        const uint64_t body = left < 4 ? 0
                                       : at[0] * (uint64_t)16777216 + at[1] * (uint64_t)65536 +
                                             at[2] * (uint64_t)256 + at[3];

        if (left >= 4 && body >= (sealed ? 32 : 4) && body <= left - 4) {
            step(w, size, (size_t)body + 4);
        } else {
            step(w, size, SIZE_MAX);
        }
    }
}

/* --- the text --------------------------------------------------------------------------------- */

typedef struct text {
    char *bytes; /* ends with a zero byte */
    size_t size;
    int code;
} text;

/* Of memory of exactly this size, so that a byte too far is seen. */
static text decode(const cli_settings *settings, const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size == 0 ? 1 : size);
    text said = {0};
    FILE *out = open_memstream(&said.bytes, &said.size);

    FUZZ_REQUIRE(copy != NULL && out != NULL);
    if (size > 0) {
        memcpy(copy, bytes, size);
    }
    said.code = cli_decode_bytes(settings, copy, size, out);
    FUZZ_REQUIRE(fclose(out) == 0 && said.bytes != NULL);
    for (size_t i = 0; i < said.size; i++) {
        FUZZ_REQUIRE(said.bytes[i] == '\n' || (' ' <= said.bytes[i] && said.bytes[i] <= '~'));
    }
    free(copy);
    return said;
}

static bool starts_with(const char *line, const char *start)
{
    return strncmp(line, start, strlen(start)) == 0;
}

static void check_lines(const text *said, const walk *meant)
{
    const char *line = said->bytes;
    bool broken_seal = false;

    for (size_t i = 0; i < meant->count; i++) {
        const char *end = strchr(line, '\n');
        char offset[OFFSET_COLUMNS + 16];

        FUZZ_REQUIRE(end != NULL);
        (void)snprintf(offset, sizeof offset, "%0*zx  ", OFFSET_DIGITS, meant->offsets[i]);
        FUZZ_REQUIRE(starts_with(line, offset));
        line += strlen(offset);
        line += starts_with(line, "LIMIT: ") ? strlen("LIMIT: ") : 0;
        broken_seal = broken_seal || starts_with(line, "sealed frame: ");
        line = end + 1;
    }
    FUZZ_REQUIRE(*line == '\0');
    FUZZ_REQUIRE(said->code == (meant->failed || broken_seal ? CLI_EXIT_FAILED : CLI_EXIT_OK));
}

/* --- hexadecimal ------------------------------------------------------------------------------ */

/* Whether `decode` may take the bytes themselves for digits. */
static bool looks_like_hex(const uint8_t *bytes, size_t size)
{
    static const char known[] = "0123456789abcdefABCDEF \t\n\v\f\r";

    for (size_t i = 0; i < size; i++) {
        if (memchr(known, bytes[i], sizeof known - 1) == NULL) {
            return false;
        }
    }
    return true;
}

static text decode_hex(const cli_settings *settings, const uint8_t *bytes, size_t size)
{
    uint8_t *digits = malloc(3 * size);
    text said;

    FUZZ_REQUIRE(digits != NULL);
    for (size_t i = 0; i < size; i++) {
        const char *alphabet = bytes[i] & 1 ? "0123456789ABCDEF" : "0123456789abcdef";

        digits[3 * i] = (uint8_t)alphabet[bytes[i] >> 4];
        digits[3 * i + 1] = (uint8_t)alphabet[bytes[i] & 15];
        digits[3 * i + 2] = i % 16 == 15 ? '\n' : ' ';
    }
    said = decode(settings, digits, 3 * size);
    free(digits);
    return said;
}

/* --- */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_bytes bytes = {data, size};
    const uint8_t choice = fuzz_take_u8(&bytes);
    cli_settings settings = {
        .from = (cli_from)((choice & 3) % 3),
        .has_key = (choice & KEY_CHOICE) != 0,
    };
    walk meant = {0};
    text said;

    FUZZ_REQUIRE(goipc_crypto_derive_key(goipc_crypto_default(), fuzz_shared_x,
                                         GOIPC_KEY_FORM_MINIMAL, settings.key) == GOIPC_ERROR_OK);
    said = decode(&settings, bytes.at, bytes.size);
    if (!looks_like_hex(bytes.at, bytes.size)) {
        text again = decode_hex(&settings, bytes.at, bytes.size);

        FUZZ_REQUIRE(again.code == said.code && strcmp(again.bytes, said.bytes) == 0);
        free(again.bytes);
        meant.offsets = malloc((bytes.size + 4) * sizeof *meant.offsets);
        FUZZ_REQUIRE(meant.offsets != NULL);
        walk_all(&meant, &settings, bytes.at, bytes.size);
        check_lines(&said, &meant);
        free(meant.offsets);
    }
    free(said.bytes);
    return 0;
}
