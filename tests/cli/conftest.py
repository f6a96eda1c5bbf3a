"""The small tree of YAML files, for tests of the check and the doors."""

from tests.runtime.fake_tree import tree, user_dir

__all__ = ["tree", "user_dir"]
