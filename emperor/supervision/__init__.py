"""The lifecycle, pure: what is decided, never how it is done. ``now`` is an argument, nobody sleeps."""
