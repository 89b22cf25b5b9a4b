"""FC-CLIP's published evaluation on public data sets, for those who have the data and the weights.

What a data set asks for is in `protocols`, what it looks like on a disk in the two files of layouts. A picture becomes
a `Prediction` (`predictions`), which is compared with the truth in tallies (`tallies`): counts that add up, so that one
process and many give the same scores (`run`, and `streamseg.runtime.dataset_evaluation` for a cluster).
"""
