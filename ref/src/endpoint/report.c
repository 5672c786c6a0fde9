/* SPDX-License-Identifier: MIT */
/* report.h */
#include "endpoint/report.h"

#include <stdarg.h>
#include <stdio.h>

static void log_text(const goipci_endpoint *endpoint, goipc_log_level level, const char *text)
{
    if (endpoint->options.log != NULL) {
        endpoint->options.log(endpoint->options.log_context, level, text);
    }
}

void goipci_endpoint_log(goipci_endpoint *endpoint, goipc_log_level level, const char *format, ...)
{
    char text[sizeof endpoint->failure.text];
    va_list arguments;

    if (endpoint->options.log == NULL) {
        return;
    }
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    log_text(endpoint, level, text);
}

/* Texts for people: names, paths and causes, never data or keys. req: KD-019, ER-002 */
goipc_error goipci_endpoint_fail(goipci_endpoint *endpoint, goipc_log_level level,
                                 goipc_error error, int system_error, const char *format, ...)
{
    goipc_failure failure = {.error = error, .system_error = system_error};
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(failure.text, sizeof failure.text, format, arguments);
    va_end(arguments);
    goipci_lock_take(&endpoint->lock);
    endpoint->failure = failure;
    (void)goipci_endpoint_note(endpoint, error);
    goipci_lock_give(&endpoint->lock);
    log_text(endpoint, level, failure.text);
    return error;
}

/* Remedies for errors of calls that have no text of their own. */
static const char *remedy_of(goipc_error error)
{
    switch ((int)error) {
    case GOIPC_ERROR_TIMEOUT:
        return "; wait longer, or see whether the peer works";
    case GOIPC_ERROR_WOULD_BLOCK:
        return "; call again when the descriptor is ready, or with a timeout";
    case GOIPC_ERROR_QUEUE_FULL:
        return "; the client does not read: send less, disconnect it, or raise queue_size_max";
    case GOIPC_ERROR_NOT_CONNECTED:
        return "; wait for its CONNECTED status";
    case GOIPC_ERROR_MESSAGE_SIZE:
        return "; send less at once, or raise message_size_max of both sides";
    case GOIPC_ERROR_STATE:
        return "; another thread is reading: read in one thread at a time";
    case GOIPC_ERROR_DISCONNECTED:
        return "; see whether the peer still runs";
    default:
        return "";
    }
}

/* Whether the last failure text explains this error: the call has waited for a connection. */
static void describe_call(const goipci_endpoint *endpoint, goipc_error error,
                          goipc_failure *failure)
{
    const goipc_failure last = *failure;
    const bool explains = error == GOIPC_ERROR_TIMEOUT && last.error != GOIPC_ERROR_OK;

    *failure = (goipc_failure){.error = error, .system_error = explains ? last.system_error : 0};
    snprintf(failure->text, sizeof failure->text, "%.120s: %s%s%.300s", endpoint->address.text,
             goipc_error_text(error), explains ? "; before that: " : remedy_of(error),
             explains ? last.text : "");
}

void goipci_endpoint_get_failure(goipci_endpoint *endpoint, goipc_failure *failure)
{
    goipc_error last;

    goipci_endpoint_enter_look(endpoint);
    goipci_lock_take(&endpoint->lock);
    *failure = endpoint->failure;
    last = (goipc_error)atomic_load_explicit(&endpoint->last_error, memory_order_relaxed);
    goipci_lock_give(&endpoint->lock);
    if (last != failure->error) {
        describe_call(endpoint, last, failure);
    }
    goipci_endpoint_exit(endpoint);
}

static uint64_t load(atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void goipci_endpoint_get_counters(goipci_endpoint *endpoint, goipc_counters *counters)
{
    goipci_counters *own = &endpoint->counters;

    goipci_endpoint_enter_look(endpoint);
    *counters = (goipc_counters){
        .messages_in = load(&own->messages_in),
        .messages_out = load(&own->messages_out),
        .bytes_in = load(&own->bytes_in),
        .bytes_out = load(&own->bytes_out),
        .connects = load(&own->connects),
        .refusals = load(&own->refusals),
        .failures = load(&own->failures),
    };
    goipci_endpoint_exit(endpoint);
}

void goipci_endpoint_give_message(goipci_endpoint *endpoint, const goipc_event *event,
                                  goipc_client_id client, goipc_message *message)
{
    goipci_counters *counters = &endpoint->counters;

    *message = (goipc_message){
        .type = event->message_type,
        .data = event->data,
        .data_size = event->data_size,
        .status = GOIPC_STATUS_CONNECTED,
        .client = client,
    };
    /* Only the reading thread changes these counters, so no atomic addition is needed. */
    atomic_store_explicit(&counters->messages_in, load(&counters->messages_in) + 1,
                          memory_order_relaxed);
    atomic_store_explicit(&counters->bytes_in, load(&counters->bytes_in) + event->data_size,
                          memory_order_relaxed);
}

goipc_message goipci_status_message(goipc_status status, goipc_error error, goipc_client_id client)
{
    return (goipc_message){
        .type = GOIPC_MESSAGE_STATUS,
        .data = (const uint8_t *)"",
        .status = status,
        .error = error,
        .client = client,
    };
}
