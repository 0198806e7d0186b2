"""Evaluation of a checkpoint, its report and its model card."""
