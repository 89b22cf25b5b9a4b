"""What is scored, read from disk: `sides` says what a metric needs, each other file reads one layout as that."""
