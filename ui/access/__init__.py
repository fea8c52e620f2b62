"""Who may use the page: allowed host names, policies, and logins with a key."""
