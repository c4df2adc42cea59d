"""Evaluation of models on lists of clips and on streams; what docs/evaluation.md describes."""
