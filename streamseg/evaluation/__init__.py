"""Scores, number for number as the field's reference codes compute them.

Each folder uses those before it, and none behind it:

    metrics     what a number is: from maps of ids and what they mean, without files
    inputs      where maps come from: the layouts of the field, read frame by frame
    reports     numbers and faults for people: tables, pictures, documents
    world       a model on pictures of the procedural world
    tracking    our association against the published one
    datasets    the published protocols on public data sets

The last three do not know one another. Beside the folders lie the commands, and what all commands share.

Without files, frame by frame: `streamseg.evaluation.metrics.video_scores.VideoScores` takes the id maps and segments of
truth and prediction, and gives PQ, VPQ, STQ, HOTA / CLEAR / identity metrics, average precision of tracks, mIoU and VC.
"""
