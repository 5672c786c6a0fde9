# SPDX-License-Identifier: MIT
"""The implementation under test, on whichever rung of the harness protocol it stands."""
