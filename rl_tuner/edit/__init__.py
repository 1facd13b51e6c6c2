"""Editing the next bar until it has what is asked for, after jaki (2020)."""
