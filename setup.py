"""Lists the packages: those under src, and configs/, which is installed as hydramol.configs. All else is in pyproject.toml."""

from setuptools import find_packages, setup

setup(packages=[*find_packages("src"), "hydramol.configs"])
