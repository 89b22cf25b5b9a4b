"""How well identities hold: procedural sequences by difficulty, followed by every method on the same queries.

scenarios.py   what is hard, and the seeds for tuning and for reporting
pictures.py    the same from real pictures: pan, zoom, occluders, cuts
queries.py     what a segmenter sees of a sequence, kept on disk
follow.py      queries through an associator and the merge, to maps
scores.py      maps against the truth: one row of the table
suite.py       every sequence through every method
ablations.py   the tracker without one of its parts at a time
tune.py        a seeded search over the settings, on the tuning seeds alone
table.py       tables and documents
command.py     `python -m pipelines.evaluate tracking`
"""
