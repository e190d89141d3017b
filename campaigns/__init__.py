"""Proof by counting: reloads, kills, crash loops and upgrades of the real thing under load, and what they cost."""
