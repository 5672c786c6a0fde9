/* SPDX-License-Identifier: MIT */
/* `goipc tap` on Windows: the name of a pipe cannot be taken over from a server that holds it. */
#include "cli.h"

int cli_tap(const cli_settings *settings)
{
    cli_say("tap %s: not possible with named pipes", settings->name);
    return CLI_EXIT_FAILED;
}
