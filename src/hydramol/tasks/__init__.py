"""What is asked of a model: generate, relax, simulate, ... A model is given one."""
