"""Components of the pages: answer cards, filter sidebar, dialogs, and job progress."""
