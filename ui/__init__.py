"""Room three, which shows: it speaks HTTP to the API and imports nothing of the other rooms."""
