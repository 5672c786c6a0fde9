#!/bin/sh
# SPDX-License-Identifier: MIT
# steady.sh COMMAND...: ThreadSanitizers of older compilers cannot live with many bits of address randomisation.
setarch -R true 2>/dev/null && exec setarch -R "$@"
exec "$@"
