/* SPDX-License-Identifier: MIT */
/* The system's random bytes, marked as written: MemorySanitizer of LLVM 14 knows getrandom, but not
 * getentropy, and took what it wrote for whatever the stack held before. Weak, so that a test may
 * bring its own. */
#include <sanitizer/msan_interface.h>
#include <stddef.h>
#include <sys/random.h>

__attribute__((weak)) int getentropy(void *out, size_t size);

__attribute__((weak)) int getentropy(void *out, size_t size)
{
    /* At most 256 bytes: all or nothing, as with getentropy. */
    if (size > 256 || getrandom(out, size, 0) != (ssize_t)size) {
        return -1;
    }
    __msan_unpoison(out, size);
    return 0;
}
