"""Lesson 09: the ablations of the paper, and the peers, on photographs."""
