"""Measures on tensors."""
