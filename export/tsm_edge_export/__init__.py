"""The host half of tsm-edge: models, checkpoints, export and its proof, training, evaluation, reports."""
