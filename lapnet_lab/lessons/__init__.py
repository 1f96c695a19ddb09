"""One folder a notebook: study (numbers, no drawing), figures, panels, exercises. Lessons never import each other."""
