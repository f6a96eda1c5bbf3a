"""Reads a run directory, writes report.html."""
