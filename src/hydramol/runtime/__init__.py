"""Composing, checking, building and running configurations."""
