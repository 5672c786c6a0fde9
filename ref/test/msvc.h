/* SPDX-License-Identifier: MIT */
/*
 * Comes before every source that msvc.py checks. Lets clang, when it takes itself for MSVC, read
 * the headers of mingw-w64, and then forbids the names that those have and MSVC has not.
 */
#define __MM_MALLOC_H /* it wants a stdlib.h before there can be one */
#include <x86intrin.h>

#include <_mingw.h>
/* Names like tell(), which the library has for itself: gcc hides them in strict C, too. */
#define NO_OLDNAMES 1
/* These stand where only gcc takes them. */
#undef __MINGW_ATTRIB_NORETURN
#define __MINGW_ATTRIB_NORETURN
#undef __MINGW_ATTRIB_DEPRECATED
#define __MINGW_ATTRIB_DEPRECATED

/* Everything that is used of them, before the names are forbidden. */
#include <winsock2.h>
#include <ws2tcpip.h>

#include <windows.h>

#include <aclapi.h>
#include <bcrypt.h>
#include <sddl.h>

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <wchar.h>

/* Not MSVC's own, but what it would read, too. */
#if __has_include(<tomcrypt.h>)
#define LTM_DESC
#include <tomcrypt.h>
#endif

#undef __attribute__
#undef strcasecmp
#undef strncasecmp

/* Of gcc and clang. */
#pragma clang poison __attribute__ __attribute __asm__ __extension__ __typeof__ __typeof typeof
#pragma clang poison __int128 __auto_type __label__ __real__ __imag__
#pragma clang poison __builtin_expect __builtin_unreachable __builtin_trap __builtin_clz
#pragma clang poison __builtin_ctz __builtin_popcount __builtin_bswap16 __builtin_bswap32
#pragma clang poison __builtin_bswap64 __builtin_add_overflow __builtin_sub_overflow
#pragma clang poison __builtin_mul_overflow __builtin_memcpy __builtin_constant_p
#pragma clang poison __builtin_types_compatible_p __builtin_choose_expr __builtin_object_size
#pragma clang poison __sync_synchronize __sync_fetch_and_add __atomic_load_n __atomic_store_n
/* Of C11, and not in MSVC's C library. */
#pragma clang poison max_align_t aligned_alloc strerrorlen_s
/* Of POSIX and GNU. */
#pragma clang poison ssize_t strcasecmp strncasecmp strndup asprintf vasprintf strtok_r strsep
#pragma clang poison gettimeofday clock_gettime nanosleep usleep sleep gmtime_r localtime_r
#pragma clang poison mempcpy memmem getline setenv unsetenv fork pthread_create
