"""Reading comprehension: each question is read over its own paragraph."""
