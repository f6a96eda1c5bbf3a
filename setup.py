"""Lists the packages, those under src and configs/ as hydramol.configs; all else is in pyproject.toml."""

from setuptools import find_packages, setup

setup(packages=[*find_packages("src"), "hydramol.configs"])
