"""Test helpers for use outside this repository too."""
