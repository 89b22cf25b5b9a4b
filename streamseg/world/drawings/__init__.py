"""The drawings of the world's things, by kind."""
