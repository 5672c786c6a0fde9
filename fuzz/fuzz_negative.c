/* SPDX-License-Identifier: MIT */
/* Property, false on purpose: a plain session never delivers a message of type 7 with 23 bytes.
 * This target must fail; one that passes means that fuzzing does not look. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_bytes bytes = {data, size};
    fuzz_setup setup;
    goipc_event event = {.type = GOIPC_EVENT_NEED_INPUT};
    goipc_session *session;
    goipc_error error;

    fuzz_setup_read(&setup, &bytes, GOIPC_ROLE_SERVER);
    setup.memory.fail_at = 0;
    setup.script.fail_at = 0;
    setup.config.encryption = GOIPC_ENCRYPTION_OFF;
    session = fuzz_setup_session(&setup);
    FUZZ_REQUIRE(session != NULL);
    error = fuzz_feed(session, bytes.at, bytes.size < 512 ? bytes.size : 512);
    while (error == GOIPC_ERROR_OK) {
        error = goipc_session_next_event(session, &event);
        if (error != GOIPC_ERROR_OK || event.type == GOIPC_EVENT_NEED_INPUT) {
            break;
        }
        FUZZ_REQUIRE(event.type != GOIPC_EVENT_MESSAGE || event.message_type != 7 ||
                     event.data_size != 23);
    }
    fuzz_setup_end(&setup, session);
    return 0;
}
