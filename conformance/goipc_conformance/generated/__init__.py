# SPDX-License-Identifier: MIT
"""The generated tier: sessions that nobody wrote down, drawn by Hypothesis, performed against a live
implementation by the same engine as the fixed cases, and shrunk to the few steps that matter.

operations  what can be done, as data
model       what may come of it, without performing it
performer   does it to a live implementation
search      draws sessions, shrinks, confirms
replay      files: run again, shrink, promote to a case
"""
