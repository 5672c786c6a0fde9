# SPDX-License-Identifier: MIT
"""The implementation under test, at whichever level of the harness protocol it stands."""
