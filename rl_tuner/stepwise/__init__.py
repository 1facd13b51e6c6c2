"""Bars that are decided step by step by choosing among candidates for each step."""
