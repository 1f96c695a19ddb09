"""05_model: from the image to the scores."""
