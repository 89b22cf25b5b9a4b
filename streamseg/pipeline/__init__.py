"""Which stages make a run, in which order: plain factories, and the part that is one stream's own."""
