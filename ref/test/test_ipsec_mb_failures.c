/* SPDX-License-Identifier: MIT */
/* Goal: IPSec MB is used only where its manager can be set up, the processor has the instructions,
 * its self-test passed and it was built to clean up; its keys lie on a 64-byte boundary whatever
 * the allocator gives, and are wiped before they are released. Method: the linker puts the
 * functions below in front of the library's (--wrap); an allocator that gives every boundary. */
#define _GNU_SOURCE

#include "crypto_tables.h"

#include <sys/wait.h>
#include <unistd.h>

#include <intel-ipsec-mb.h>

/* --- in front of the library ------------------------------------------------------------------ */

static bool without_memory, with_error;
static uint64_t features_removed, features_added;
static int managers; /* allocated and not freed */

IMB_MGR *__real_alloc_mb_mgr(uint64_t flags);
IMB_MGR *__wrap_alloc_mb_mgr(uint64_t flags);
IMB_MGR *__wrap_alloc_mb_mgr(uint64_t flags)
{
    managers += !without_memory;
    return without_memory ? NULL : __real_alloc_mb_mgr(flags);
}

void __real_free_mb_mgr(IMB_MGR *manager);
void __wrap_free_mb_mgr(IMB_MGR *manager);
void __wrap_free_mb_mgr(IMB_MGR *manager)
{
    managers--;
    __real_free_mb_mgr(manager);
}

void __real_init_mb_mgr_auto(IMB_MGR *manager, IMB_ARCH *architecture);
void __wrap_init_mb_mgr_auto(IMB_MGR *manager, IMB_ARCH *architecture);
void __wrap_init_mb_mgr_auto(IMB_MGR *manager, IMB_ARCH *architecture)
{
    __real_init_mb_mgr_auto(manager, architecture);
    manager->features = (manager->features & ~features_removed) | features_added;
}

int __real_imb_get_errno(IMB_MGR *manager);
int __wrap_imb_get_errno(IMB_MGR *manager);
int __wrap_imb_get_errno(IMB_MGR *manager)
{
    return with_error ? 1 : __real_imb_get_errno(manager);
}

/* --- registration ----------------------------------------------------------------------------- */

static const struct {
    const char *what;
    bool without_memory, with_error;
    uint64_t removed, added;
    bool used;
} rows[] = {
    {"as it is", false, false, 0, 0, true},
    {"no memory for the manager", true, false, 0, 0, false},
    {"an error of the manager", false, true, 0, 0, false},
    {"no AES instructions", false, false, IMB_FEATURE_AESNI, 0, false},
    {"no carry-less multiplication", false, false, IMB_FEATURE_PCLMULQDQ, 0, false},
#ifdef IMB_FEATURE_AESNI_EMU
    {"AES emulated", false, false, 0, IMB_FEATURE_AESNI_EMU, false},
#endif
    {"built without SAFE_DATA", false, false, IMB_FEATURE_SAFE_DATA, 0, false},
    {"built without SAFE_PARAM", false, false, IMB_FEATURE_SAFE_PARAM, 0, true},
#ifdef IMB_FEATURE_SELF_TEST
    {"self-test failed", false, false, IMB_FEATURE_SELF_TEST_PASS, IMB_FEATURE_SELF_TEST, false},
    {"no self-test", false, false, IMB_FEATURE_SELF_TEST_PASS | IMB_FEATURE_SELF_TEST, 0, true},
#endif
};

/* In processes of their own, because registration happens once. */
static void test_registration(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const pid_t child = fork();
        int status;

        EXPECT(child >= 0);
        if (child == 0) {
            without_memory = rows[i].without_memory;
            with_error = rows[i].with_error;
            features_removed = rows[i].removed;
            features_added = rows[i].added;
            exit((goipc_crypto_by_name("tomcrypt+ipsec-mb") != NULL) == rows[i].used &&
                         (strstr(goipc_crypto_default()->name, "ipsec-mb") != NULL) ==
                             rows[i].used &&
                         goipc_crypto_self_test(goipc_crypto_default()) == GOIPC_ERROR_OK &&
                         managers == 0
                     ? 0
                     : 1);
        }
        EXPECT(waitpid(child, &status, 0) == child);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
            fprintf(stderr, "%s\n", rows[i].what);
        }
        EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

/* --- memory ----------------------------------------------------------------------------------- */

static _Alignas(64) uint8_t memory[8192];
static size_t offset, given_size;
static int released;

static void *allocate(void *context, size_t size)
{
    (void)context;
    EXPECT(offset + size <= sizeof memory);
    given_size = size;
    return memory + offset;
}

static void release(void *context, void *given, size_t size)
{
    (void)context;
    EXPECT(given == memory + offset && size == given_size);
    for (size_t i = 0; i < size; i++) {
        EXPECT(memory[offset + i] == 0);
    }
    released++;
}

static void test_every_boundary(const goipc_crypto *crypto)
{
    const goipc_allocator allocator = {NULL, allocate, release};
    const uint8_t key[32] = {1}, nonce[12] = {2}, data[100] = {3};

    for (offset = 0; offset < 128; offset++) {
        uint8_t sealed[104], opened[104], tag[16];
        void *aead;

        memset(memory, 0xaa, sizeof memory);
        EXPECT(crypto->aead_new(crypto->context, &allocator, key, &aead) == GOIPC_ERROR_OK);
        EXPECT((uintptr_t)aead % 64 == 0);
        EXPECT(crypto->aead_seal(crypto->context, aead, nonce, data, data, sizeof data, sealed,
                                 tag) == GOIPC_ERROR_OK);
        EXPECT(crypto->aead_open(crypto->context, aead, nonce, sealed, sizeof sealed, tag,
                                 opened) == GOIPC_ERROR_OK);
        EXPECT(memcmp(opened + 4, data, sizeof data) == 0);
        crypto->aead_free(crypto->context, &allocator, aead);
        EXPECT(released == (int)offset + 1);
        for (size_t i = 0; i < offset; i++) { /* nothing outside of what was given */
            EXPECT(memory[i] == 0xaa && memory[offset + given_size + i] == 0xaa);
        }
    }
    crypto->aead_free(crypto->context, &allocator, NULL);
    EXPECT(released == 128);
}

static void *no_memory(void *context, size_t size)
{
    (void)context;
    (void)size;
    return NULL;
}

static void test_allocator_that_fails(const goipc_crypto *crypto)
{
    const goipc_allocator allocator = {NULL, no_memory, NULL};
    const uint8_t key[32] = {1};
    void *made = NULL;

    EXPECT(crypto->aead_new(crypto->context, &allocator, key, &made) == GOIPC_ERROR_MEMORY);
    EXPECT(made == NULL);
}

int main(void)
{
    const goipc_crypto *crypto;

    test_registration();
    crypto = goipc_crypto_by_name("tomcrypt+ipsec-mb");
    if (crypto == NULL) {
        printf("SKIP ipsec_mb_failures: this processor has no AES instructions\n");
        return TEST_SKIPPED;
    }
    test_every_boundary(crypto);
    test_allocator_that_fails(crypto);
    printf("ok %d checks\n", test_checks);
    return 0;
}
