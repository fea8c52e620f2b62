"""HTTP client of the REST API, with its response types."""
