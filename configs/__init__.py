"""Every option of every group, as YAML; installed as hydramol.configs."""
