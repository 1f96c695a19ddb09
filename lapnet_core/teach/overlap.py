"""Exercises of notebook 02."""

from collections.abc import Mapping

from lapnet_core.teach.exercise import Exercise

EXERCISES: Mapping[str, Exercise] = {}
