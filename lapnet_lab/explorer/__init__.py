"""The explorer, the widget in which one drags boxes and sees the maps of `assign` follow."""
