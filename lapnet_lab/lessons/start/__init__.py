"""00_start_here: LapNet in one sitting."""
