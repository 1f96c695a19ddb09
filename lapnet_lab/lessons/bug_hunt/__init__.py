"""Lesson 11: six faulty assigners, losses and detectors."""
