"""Shortcut of `hydramol sample` for a clone of the repository."""

from hydramol.cli.sample import main

if __name__ == "__main__":
    main()
