"""Shortcut of `hydramol train` for a clone of the repository."""

from hydramol.cli.train import main

if __name__ == "__main__":
    main()
