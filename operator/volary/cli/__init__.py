"""The `volary` command: one file a verb."""
