"""Measurements that compare machines fairly: ratios of two things timed in turns."""
