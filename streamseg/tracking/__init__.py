"""Association over time: the queries of each frame continue tracks, begin them, or are left alone.

Causal and per stream. `build.build_associator` makes an `association.Associator` from settings: `tracker.StageTracker`,
or the published baseline `minvis.MinVISTracker`.
"""
