"""Lesson 10: speed and accuracy, fig. 1 of the paper and ours beside it."""
