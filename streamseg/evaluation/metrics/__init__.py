"""The metrics: each is fed with one `ComparedFrame` after the other, `VideoScores` feeds all of them. No files here."""
