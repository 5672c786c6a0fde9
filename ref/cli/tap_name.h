/* SPDX-License-Identifier: MIT */
/* The server's name while a tap has it. */
#ifndef GOIPC_CLI_TAP_NAME_H
#define GOIPC_CLI_TAP_NAME_H

#include "cli.h"

#include <sys/types.h>

enum { TAP_NAME_SIZE = 128, TAP_PATH_SIZE = 512 };

typedef struct tap_name {
    char target[TAP_NAME_SIZE]; /* the server's name meanwhile: NAME-tapped */
    char path[TAP_PATH_SIZE];
    char moved[TAP_PATH_SIZE];
    pid_t guardian; /* the process that puts the name back */
    int lifeline;   /* it does so when this is closed, by us or by our end */
} tap_name;

/* Moves the server's socket from NAME to NAME-tapped, after putting back what a killed tap has left
 * there. False after saying why. Call it before any endpoint is made: it forks. */
bool tap_name_take(tap_name *self, const cli_settings *settings);
/* Puts the socket back, after our own server has left the name. False after saying why. */
bool tap_name_give_back(tap_name *self);

#endif
