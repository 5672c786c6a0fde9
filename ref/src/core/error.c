/* SPDX-License-Identifier: MIT */
/* Names and texts, all from the lists of goipc.h. */
#include "core/internal.h"

const char *goipc_error_name(goipc_error error)
{
    switch (error) {
#define GOIPC_ERROR_CASE(name, value, text)                                                        \
    case GOIPC_ERROR_##name:                                                                       \
        return #name;
        GOIPC_ERROR_LIST(GOIPC_ERROR_CASE)
#undef GOIPC_ERROR_CASE
    }
    return "UNKNOWN";
}

const char *goipc_error_text(goipc_error error)
{
    switch (error) {
#define GOIPC_ERROR_CASE(name, value, text)                                                        \
    case GOIPC_ERROR_##name:                                                                       \
        return text;
        GOIPC_ERROR_LIST(GOIPC_ERROR_CASE)
#undef GOIPC_ERROR_CASE
    }
    return "unknown error";
}

goipc_error_class goipc_error_classify(goipc_error error)
{
    switch ((int)error / 100) {
    case 0:
        return GOIPC_ERROR_CLASS_OK;
    case 1:
        return GOIPC_ERROR_CLASS_LOCAL;
    case 2:
        return GOIPC_ERROR_CLASS_PEER;
    default:
        return GOIPC_ERROR_CLASS_SYSTEM;
    }
}

const char *goipc_status_text(goipc_status status)
{
    switch (status) {
    case GOIPC_STATUS_NOT_CONNECTED:
        return "Not Connected";
    case GOIPC_STATUS_LISTENING:
        return "Listening";
    case GOIPC_STATUS_CONNECTING:
        return "Connecting";
    case GOIPC_STATUS_CONNECTED:
        return "Connected";
    case GOIPC_STATUS_RECONNECTING:
        return "Reconnecting";
    case GOIPC_STATUS_CLOSED:
        return "Closed";
    case GOIPC_STATUS_CLOSING:
        return "Closing";
    case GOIPC_STATUS_ERROR:
        return "Error";
    case GOIPC_STATUS_TIMEOUT:
        return "Timeout";
    case GOIPC_STATUS_DISCONNECTED:
        return "Disconnected";
    }
    return "Status not found";
}

#define TEXT_OF(number) #number
#define VERSION_TEXT(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

const char *goipc_version(void)
{
    return VERSION_TEXT(GOIPC_VERSION_MAJOR, GOIPC_VERSION_MINOR, GOIPC_VERSION_PATCH);
}

bool goipci_is_unused(const uintptr_t *reserved, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (reserved[i] != 0) {
            return false;
        }
    }
    return true;
}
