"""A trained detector in use: made fast, exported, on folders, videos and cameras."""
