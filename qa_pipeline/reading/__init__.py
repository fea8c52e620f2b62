"""From passages to answer spans: the inference engine without padding, windows, span decoding, micro batching and caches."""
