"""What converting checkpoints is made of: reading files, naming weights, telling dimensions, writing a folder."""
