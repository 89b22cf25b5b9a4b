"""Scores, number for number as the field's reference codes compute them.

Without files, frame by frame: `streamseg.evaluation.video_scores.VideoScores` takes the id maps and segments of truth
and prediction, and gives PQ, VPQ, STQ, HOTA / CLEAR / identity metrics, average precision of tracks, mIoU and VC.
"""
