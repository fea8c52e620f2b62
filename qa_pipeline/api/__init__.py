"""The REST API: the Litestar application, authentication, wire schemas, and errors as problem+json (RFC 9457)."""
