"""Shortcut of `hydramol distill` for a clone of the repository."""

from hydramol.cli.distill import main

if __name__ == "__main__":
    main()
