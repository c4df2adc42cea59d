"""Training of TSM models: data, the synthetic gestures, the loop and the evaluation."""
