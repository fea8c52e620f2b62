"""The parts that pages are drawn of: answer cards, the filter sidebar, dialogs, and progress of jobs."""
