"""Benchmarks: each line of a part compares something of ours with what one would take instead."""
