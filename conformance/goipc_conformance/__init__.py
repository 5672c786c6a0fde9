# SPDX-License-Identifier: MIT
"""Conformance suite for the golang-ipc protocol.

Layers, each importing only those before it: codec, keys, wire, peer (what travels), outcome (what was
seen), adapter (the implementation under test), case and cases (what is asked), engine (asking),
expectations (what was known before), report (telling), cli.
"""

__version__ = "1.0.0"
