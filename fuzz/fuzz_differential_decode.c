/* SPDX-License-Identifier: MIT */
/* Property: a plain session delivers exactly what a second decoder, written for nothing but clarity
 * over the whole input at once, says that the bytes mean. */
#include "fuzz.h"

/* What the bytes mean, as the specification puts it. */
typedef struct meaning {
    uint32_t events;
    size_t event_count;
    goipc_error error;
} meaning;

static void add_event(meaning *m, goipc_event_type kind, uint32_t type, const uint8_t *data,
                      size_t data_size)
{
    const uint8_t kind_byte = (uint8_t)kind;

    m->event_count++;
    fuzz_digest(&m->events, &kind_byte, 1);
    fuzz_digest(&m->events, &type, sizeof type);
    fuzz_digest(&m->events, data, data_size);
}

static uint64_t number_at(const uint8_t *at)
{
    uint64_t value = 0;

    for (int i = 0; i < 4; i++) {
        value = value * 256 + at[i];
    }
    return value;
}

/* How many bytes the handshake takes, or how it fails. */
static goipc_error decode_handshake(goipc_role role, const uint8_t *at, size_t size, size_t *taken)
{
    if (role == GOIPC_ROLE_SERVER) {
        if (size < 1) {
            return GOIPC_ERROR_DISCONNECTED;
        }
        if (at[0] != 0) {
            return at[0] == 1   ? GOIPC_ERROR_VERSION
                   : at[0] == 2 ? GOIPC_ERROR_ENCRYPTION
                                : GOIPC_ERROR_REPLY;
        }
        *taken = 2;
        return size < 2 ? GOIPC_ERROR_DISCONNECTED : GOIPC_ERROR_OK;
    }
    if (size < 2) {
        return GOIPC_ERROR_DISCONNECTED;
    }
    if (at[0] != 2) {
        return GOIPC_ERROR_VERSION;
    }
    if (at[1] != 0) {
        return GOIPC_ERROR_ENCRYPTION;
    }
    if (size >= 6 && number_at(at + 2) != 4) {
        return GOIPC_ERROR_FRAME_SIZE;
    }
    *taken = 10;
    return size < 10 ? GOIPC_ERROR_DISCONNECTED : GOIPC_ERROR_OK;
}

static goipc_error decode_frames(meaning *m, const uint8_t *at, size_t size, uint64_t data_size_max)
{
    while (size > 0) {
        uint64_t body_size;

        if (size < 4) {
            return GOIPC_ERROR_TRUNCATED;
        }
        body_size = number_at(at);
        if (body_size < 4 || body_size > 4 + data_size_max) {
            return GOIPC_ERROR_FRAME_SIZE;
        }
        if (size < 4 + body_size) {
            return GOIPC_ERROR_TRUNCATED;
        }
        add_event(m, number_at(at + 4) == 0 ? GOIPC_EVENT_CONTROL : GOIPC_EVENT_MESSAGE,
                  (uint32_t)number_at(at + 4), at + 8, (size_t)body_size - 4);
        at += 4 + body_size;
        size -= 4 + (size_t)body_size;
    }
    add_event(m, GOIPC_EVENT_CLOSED, 0, NULL, 0);
    return GOIPC_ERROR_OK;
}

static meaning decode(const fuzz_setup *setup, fuzz_bytes bytes)
{
    fuzz_trace start;
    meaning m = {.error = GOIPC_ERROR_OK};
    size_t taken;

    fuzz_trace_init(&start);
    m.events = start.events;
    m.error = decode_handshake(setup->config.role, bytes.at, bytes.size, &taken);
    if (m.error == GOIPC_ERROR_OK) {
        add_event(&m, GOIPC_EVENT_CONNECTED, 0, NULL, 0);
        m.error = decode_frames(&m, bytes.at + taken, bytes.size - taken,
                                setup->flags & FUZZ_FLAG_SMALL ? 1024 : 3 * 1024 * 1024);
    }
    return m;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_bytes bytes = {data, size};
    const goipc_role role = fuzz_take_u8(&bytes) & 1 ? GOIPC_ROLE_CLIENT : GOIPC_ROLE_SERVER;
    fuzz_setup setup;
    fuzz_trace trace;
    goipc_session *session;
    meaning meant;

    fuzz_setup_read(&setup, &bytes, role);
    setup.memory.fail_at = 0;
    setup.script.fail_at = 0;
    setup.config.encryption = GOIPC_ENCRYPTION_OFF;
    session = fuzz_setup_session(&setup);
    FUZZ_REQUIRE(session != NULL);
    meant = decode(&setup, bytes);
    fuzz_trace_init(&trace);
    fuzz_run(&setup, session, bytes, setup.chunk, &trace);
    FUZZ_REQUIRE(trace.error == meant.error);
    FUZZ_REQUIRE(trace.event_count == meant.event_count && trace.events == meant.events);
    fuzz_setup_end(&setup, session);
    return 0;
}
