"""Lesson 12: a LapNet of the learner's own functions."""
