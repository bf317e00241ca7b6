"""The search indexes of a corpus and their publication as snapshots."""
