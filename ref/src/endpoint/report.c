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

/* Words for people: names, paths and causes, never data or keys. req: KD-019, ER-002 */
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
    goipci_lock_give(&endpoint->lock);
    log_text(endpoint, level, failure.text);
    return error;
}

void goipci_endpoint_get_failure(goipci_endpoint *endpoint, goipc_failure *failure)
{
    goipci_endpoint_enter_look(endpoint);
    goipci_lock_take(&endpoint->lock);
    *failure = endpoint->failure;
    goipci_lock_give(&endpoint->lock);
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
    /* Only the reading thread counts these, so no locked operation is needed. */
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
