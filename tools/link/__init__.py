# SPDX-License-Identifier: MIT
"""The host's ends of the link between machines (docs/protocol.md), and the snapshots that they write
and serve (docs/snapshot.md)."""
