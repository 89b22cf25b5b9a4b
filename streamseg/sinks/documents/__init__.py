"""Documents that benchmarks read, compiled on disk from the records of a run: one frame in memory at a time."""
