/* SPDX-License-Identifier: MIT */
/* The one function that programs of current Go want from a DLL that Wine 8 does not have. It goes
 * into the Wine prefix of the tests, nowhere else: Windows has its own. */
#include <windows.h>

#include <bcrypt.h>

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T size);

BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T size)
{
    return size <= MAXLONG &&
           BCryptGenRandom(NULL, data, (ULONG)size, BCRYPT_USE_SYSTEM_PREFERRED_RNG) == 0;
}
