"""What the notebooks use beside the library: exercise checks."""
