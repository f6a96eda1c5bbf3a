"""Builders of data sets; heavy engines are imported when used."""
