"""Decides: `plan(desired, observed, now) -> Plan`. Pure: no I/O, clock, randomness or logging."""
