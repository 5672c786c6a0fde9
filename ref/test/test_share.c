/* SPDX-License-Identifier: MIT */
/* Goal: shares count what they are told, and the key decides where a process is counted. Method:
 * tables and a few thousand processes. */
#include "endpoint/share.h"
#include "test.h"

static void test_counts(void)
{
    goipci_shares shares = {.key = 1};

    EXPECT(goipci_share_largest(&shares) == 0);
    goipci_share_joined(&shares, 7);
    EXPECT(goipci_share_largest(&shares) == 7);
    goipci_share_joined(&shares, GOIPCI_SHARE_COUNT - 1);
    goipci_share_joined(&shares, GOIPCI_SHARE_COUNT - 1);
    EXPECT(goipci_share_largest(&shares) == GOIPCI_SHARE_COUNT - 1);
    goipci_share_left(&shares, GOIPCI_SHARE_COUNT - 1);
    goipci_share_left(&shares, GOIPCI_SHARE_COUNT - 1);
    EXPECT(goipci_share_largest(&shares) == 7 && shares.pending[GOIPCI_SHARE_COUNT - 1] == 0);
}

static void test_processes_are_spread_by_the_key(void)
{
    const goipci_shares one = {.key = 1}, other = {.key = 2};
    unsigned counts[GOIPCI_SHARE_COUNT] = {0};
    unsigned same = 0;

    for (int64_t process = 0; process < 25600; process++) {
        const unsigned share = goipci_share_of(&one, 1000, process);

        EXPECT(share < GOIPCI_SHARE_COUNT && share == goipci_share_of(&one, 1000, process));
        counts[share]++;
        same += share == goipci_share_of(&other, 1000, process) ? 1 : 0;
    }
    for (unsigned i = 0; i < GOIPCI_SHARE_COUNT; i++) {
        EXPECT(counts[i] > 50 && counts[i] < 200); /* 100 on average */
    }
    EXPECT(same < 300);
    EXPECT(goipci_share_of(&one, 1, 5) != goipci_share_of(&one, 2, 5) ||
           goipci_share_of(&one, 1, 6) != goipci_share_of(&one, 2, 6));
}

int main(void)
{
    test_counts();
    test_processes_are_spread_by_the_key();
    printf("ok %d checks\n", test_checks);
    return 0;
}
