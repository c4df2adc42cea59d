"""Evaluation of classifiers on lists of clips and on streams, see docs/evaluation.md."""
