"""The state of the page: its URL, the session, cached replies, and saved filters."""
