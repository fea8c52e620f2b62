"""The state of the page: its address, the session, cached replies, and saved filters."""
