"""Notebook 07: training, from one variable to the best model, and what to do when it fails."""
