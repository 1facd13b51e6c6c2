"""Loops that are made note by note: what may be appended, what it is worth, and the agent that chooses."""
