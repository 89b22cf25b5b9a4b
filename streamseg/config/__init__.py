"""What a run can be told, with every default: one dataclass per concern, and nothing that computes."""
