"""Volary on a real cluster, from outside: what a user does and sees."""
