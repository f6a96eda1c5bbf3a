"""What is measured on structures and denoisers; gives parts of a report (`hydramol.core.results`)."""
