"""A client of the REST API over HTTP, with its values."""
