/* SPDX-License-Identifier: MIT */
/* Reports of an endpoint: failures and log lines for people, counters, and messages for its
 * reader. */
#ifndef GOIPC_REPORT_H
#define GOIPC_REPORT_H

#include "endpoint/endpoint.h"

/* Records a failure and writes it to the log. Returns `error`. */
goipc_error goipci_endpoint_fail(goipci_endpoint *endpoint, goipc_log_level level,
                                 goipc_error error, int system_error, const char *format, ...)
    GOIPCI_PRINTF(5, 6);
void goipci_endpoint_log(goipci_endpoint *endpoint, goipc_log_level level, const char *format, ...)
    GOIPCI_PRINTF(3, 4);
void goipci_endpoint_get_failure(goipci_endpoint *endpoint, goipc_failure *failure);
void goipci_endpoint_get_counters(goipci_endpoint *endpoint, goipc_counters *counters);

/* Fills in a message for the reader and counts it. Only the reading thread may call this. */
void goipci_endpoint_give_message(goipci_endpoint *endpoint, const goipc_event *event,
                                  goipc_client_id client, goipc_message *message);
/* A status change; `client` is 0 on a client. */
goipc_message goipci_status_message(goipc_status status, goipc_error error, goipc_client_id client);

#endif
