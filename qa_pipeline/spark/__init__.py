"""Questions over the rows of a Spark DataFrame."""
