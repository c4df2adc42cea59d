"""Boxes on video: annotated clips, the training of a detector, and its evaluation."""
